use super::*;

fn body(text: &str) -> Params {
    Params::parse(None, &Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn query(text: &str) -> Params {
    Params::parse(Some(text), &Bytes::new()).unwrap()
}

#[test]
fn names_are_matched_in_any_case_and_the_last_of_two_counts() {
    for text in [
        r#"{"parentFileId": 7}"#,
        r#"{"PARENTFILEID": 7}"#,
        r#"{"parentfileid": "7"}"#,
        r#"{"parentFileID": 3, "parentFileId": 7}"#,
        "parentFileId=3&parentFileID=7",
        "x=1&parentfileid=7&y",
        "\u{feff} {\"parentFileID\": 7}",
        " \r\n\t{\"parentFileID\": 7.0} ",
    ] {
        assert_eq!(body(text).integer(Name::ParentFileId), Ok(7), "{text}");
    }
}

#[test]
fn the_query_decides_and_the_body_fills_in() {
    let json = Bytes::from_static(br#"{"fileID": 1, "limit": 5, "page": 2}"#);
    let params = Params::parse(Some("fileId=9&limit="), &json).unwrap();
    assert_eq!(params.integer(Name::FileId), Ok(9));
    assert_eq!(params.integer(Name::Limit), Ok(5), "an empty one is none");
    assert_eq!(params.integer(Name::Page), Ok(2));
}

#[test]
fn whole_numbers_may_be_texts_and_nothing_else() {
    for (value, number) in [
        ("0", 0),
        ("-5", -5),
        ("2.0", 2),
        ("2e3", 2000),
        ("\"12\"", 12),
        ("\"-12\"", -12),
        ("\"007\"", 7),
        ("9223372036854775807", i64::MAX),
        ("\"9223372036854775807\"", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        let text = format!("{{\"size\": {value}}}");
        assert_eq!(body(&text).integer(Name::Size), Ok(number), "{value}");
    }
    for value in [
        "true",
        "1.5",
        "\"1.0\"",
        "\"+1\"",
        "\"--1\"",
        "\"-\"",
        "\" 1\"",
        "\"1e3\"",
        "\"0x1\"",
        "9223372036854775808",
        "1e300",
        "-1e19",
        "\"9223372036854775808\"",
        "\"00000000000000000001\"",
        "{}",
        "{\"a\":[]}",
        "\"１\"",
    ] {
        let text = format!("{{\"size\": {value}}}");
        let error = body(&text).integer(Name::Size).unwrap_err();
        assert_eq!(error.to_string(), "size is not a whole number", "{value}");
    }
    for value in ["[1]", "[]"] {
        let text = format!("{{\"size\": {value}}}");
        let error = body(&text).integer(Name::Size).unwrap_err();
        assert_eq!(error.to_string(), "size is not a single value", "{value}");
    }
    let error = body(r#"{"size": -1}"#).natural(Name::Size).unwrap_err();
    assert_eq!(error.to_string(), "size is not a number from 0 on");
}

#[test]
fn truth_values_have_several_spellings() {
    for (value, flag) in [
        ("true", true),
        ("false", false),
        ("1", true),
        ("0", false),
        ("\"True\"", true),
        ("\"FALSE\"", false),
        ("\"1\"", true),
        ("\"0\"", false),
        ("\"\"", false),
        ("null", false),
    ] {
        let text = format!("{{\"containDir\": {value}}}");
        assert_eq!(body(&text).flag(Name::ContainDir), Ok(flag), "{value}");
    }
    assert_eq!(body("{}").flag(Name::ContainDir), Ok(false));
    for value in ["2", "-1", "\"yes\"", "\"on\"", "0.5", "{}"] {
        let text = format!("{{\"containDir\": {value}}}");
        assert!(body(&text).flag(Name::ContainDir).is_err(), "{value}");
    }
}

#[test]
fn nothing_is_absence_and_what_is_required_must_be_there() {
    for text in [
        "",
        " \n",
        "{}",
        r#"{"size": null}"#,
        r#"{"size": ""}"#,
        "size",
        "size=",
    ] {
        assert_eq!(body(text).integer_if_any(Name::Size), Ok(None), "{text}");
        let missing = ParamError::Missing(Name::Size);
        assert_eq!(
            body(text).integer(Name::Size),
            Err(missing.clone()),
            "{text}"
        );
        assert_eq!(body(text).text(Name::Size), Err(missing), "{text}");
    }
    let error = body(r#"{"filename": 5}"#).text(Name::FileName).unwrap_err();
    assert_eq!(error.to_string(), "filename is not a text");
}

#[test]
fn lists_are_arrays_repetitions_or_lone_values() {
    for text in [
        r#"{"fileIDs": [1, "2"]}"#,
        r#"{"fileIDs": [9], "fileids": [1, 2]}"#,
        r#"{"fileIds[]": [1, 2]}"#,
        "fileIDs=1&fileids=2",
        "fileIDs[]=1&fileIDs%5B%5D=2",
    ] {
        assert_eq!(
            body(text).integers(Name::FileIds, 1..=2),
            Ok(vec![1, 2]),
            "{text}"
        );
    }
    assert_eq!(
        body(r#"{"fileIDs": 5}"#).integers(Name::FileIds, 1..=1),
        Ok(vec![5])
    );
    assert_eq!(
        query("fileIDs=5").integers(Name::FileIds, 1..=1),
        Ok(vec![5])
    );
    let names = body(r#"{"renameList": ["1|a", "2|b"]}"#);
    assert_eq!(
        names.texts(Name::RenameList, 1..=30),
        Ok(vec!["1|a", "2|b"])
    );
    assert!(names.integers(Name::RenameList, 1..=30).is_err());
    for text in [
        "{}",
        r#"{"fileIDs": []}"#,
        r#"{"fileIDs": null}"#,
        r#"{"fileIDs": [null, ""]}"#,
    ] {
        let missing = ParamError::Missing(Name::FileIds);
        assert_eq!(
            body(text).integers(Name::FileIds, 1..=2),
            Err(missing),
            "{text}"
        );
    }
    let error = body(r#"{"fileIDs": [1, 2, 3]}"#)
        .integers(Name::FileIds, 1..=2)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "fileIDs has 3 values, 1 to 2 are allowed"
    );
    for text in [
        r#"{"fileIDs": [1, [2]]}"#,
        r#"{"fileIDs": [1, {}]}"#,
        r#"{"fileIDs": [1, true]}"#,
    ] {
        assert!(body(text).integers(Name::FileIds, 1..=2).is_err(), "{text}");
    }
}

#[test]
fn forms_are_decoded_as_browsers_encode_them() {
    let form = body("filename=%E6%B5%8B+%2B1.txt&size=5");
    assert_eq!(form.text(Name::FileName), Ok("测 +1.txt"));
    let bad = Params::parse(None, &Bytes::from_static(b"filename=%ff&size=5"));
    assert_eq!(bad.unwrap_err().to_string(), "filename is not UTF-8");
    // What no call knows may be anything.
    assert_eq!(body("%ff=%ff&size=5").integer(Name::Size), Ok(5));
}

#[test]
fn what_is_neither_json_nor_a_form_is_refused_or_says_nothing() {
    for text in [
        "{",
        "{]",
        "{\"size\": 1} x",
        "{\"size\": 1}{}",
        "{\"size\"}",
        "{size: 1}",
        "{\"filename\": \"\\ud800\"}",
    ] {
        let parsed = Params::parse(None, &Bytes::copy_from_slice(text.as_bytes()));
        assert!(
            matches!(parsed, Err(SyntaxError::Json(JsonError::Syntax(_)))),
            "{text}"
        );
    }
    let parsed = Params::parse(None, &Bytes::from_static(b"{\"filename\": \"\xff\"}"));
    assert!(matches!(
        parsed,
        Err(SyntaxError::Json(JsonError::Encoding(_)))
    ));
    for text in ["[1]", "<xml/>", "\"size\"", "--x\r\n"] {
        assert_eq!(body(text).integer_if_any(Name::Size), Ok(None), "{text}");
    }
}

#[test]
fn a_body_keeps_no_more_than_its_known_values() {
    let zeros = "0,".repeat(100_000);
    let unknown = format!(
        "{{\"x\":[{zeros}0],\"y\":{},\"size\":1}}",
        "[".repeat(100) + &"]".repeat(100)
    );
    assert_eq!(body(&unknown).integer(Name::Size), Ok(1));
    let many = format!("{{\"fileIDs\":[{zeros}0]}}");
    assert!(Params::parse(None, &many.into()).is_err());
    let repeated = "fileIDs=1&".repeat(5000);
    let parsed = Params::parse(Some(&repeated), &Bytes::new()).unwrap_err();
    assert_eq!(parsed.to_string(), "the request has more than 4096 values");
    let deep = format!(
        "{{\"fileIDs\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(body_or_error(&deep), "nesting costs no stack");
}

/// Whether a body is read or refused, which is to say that nothing else happens.
fn body_or_error(text: &str) -> bool {
    match Params::parse(None, &Bytes::copy_from_slice(text.as_bytes())) {
        Ok(params) => params.integers(Name::FileIds, 1..=9).is_err(),
        Err(_) => true,
    }
}
