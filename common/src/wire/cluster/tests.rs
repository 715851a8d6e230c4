use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::codec::CodecError;
use crate::wire::report::ReportError;

fn order(order: Order, target: &str) -> OrderRequest {
    OrderRequest {
        order,
        target: target.parse().unwrap(),
    }
}

const REMOVE: Order = Order::Remove {
    force: true,
    release: false,
};

/// Made by hand from the doc comments.
#[test]
fn the_bytes_of_orders_are_these() {
    let group = b"\0\x01\x00\x00\x01group1\0\0\0\0\0\0\0\0\0\0";
    for (request, expected) in [
        (order(REMOVE, "7"), &b"\0\x01\x04\x01\x00\0\0\0\x07"[..]),
        (order(Order::Drain, "group1"), group),
    ] {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        assert_eq!(body, expected);
        assert_eq!(OrderRequest::decode(expected), Ok(request));
    }
}

#[test]
fn an_order_of_another_version_or_with_unknown_flags_is_not_carried_out() {
    assert_eq!(
        OrderRequest::decode(b"\0\x02\x00\x00\x00\0\0\0\x07"),
        Err(ReportError::TooNew { theirs: 2 })
    );
    assert_eq!(
        OrderRequest::decode(b"\0\x01\x00\x01\x00\0\0\0\x07"),
        Err(CodecError::Field("order flags").into())
    );
    assert_eq!(
        OrderRequest::decode(b"\0\x01\x04\x04\x00\0\0\0\x07"),
        Err(CodecError::Field("order").into())
    );
}

#[test]
fn digits_name_a_node_and_anything_else_a_group() {
    let node: Target = "7".parse().unwrap();
    assert_eq!(node, Target::Node(7.try_into().unwrap()));
    assert_eq!("node:7".parse(), Ok(node));
    let group: Target = "group:7".parse().unwrap();
    assert_eq!(group, Target::Group("7".parse().unwrap()));
    assert_eq!(group.to_string(), "group 7");
    assert_eq!("g7".parse(), Ok(Target::Group("g7".parse().unwrap())));
    for bad in ["", "0", "node:x", "a b", "99999999999", "disk:1"] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}

#[test]
fn answers_round_trip_and_long_reasons_are_cut_at_a_character() {
    for answer in [
        OrderAnswer::Done,
        OrderAnswer::Wait {
            reason: "node 2 lacks M00".to_owned(),
        },
        OrderAnswer::Refused {
            reason: "no".to_owned(),
        },
    ] {
        let mut body = BytesMut::new();
        answer.encode(&mut body);
        assert_eq!(OrderAnswer::decode(&body), Ok(answer));
    }
    let mut body = BytesMut::new();
    OrderAnswer::Wait {
        reason: "é".repeat(3000),
    }
    .encode(&mut body);
    assert!(OrderAnswer::decode(&body).is_ok());
}

#[test]
fn a_status_without_some_fields_is_read_all_the_same() {
    let page = StatusPage::decode(
        br#"{"status":{"groups":[{"name":"g","nodes":[{"number":7,"of_tomorrow":1}]}]},
            "next":["g",7]}"#,
    )
    .unwrap();
    assert_eq!(page.status.groups[0].nodes[0].number, 7);
    let cursor = page.cursor().unwrap();
    assert_eq!(
        (cursor.group, cursor.number),
        (Some("g".parse().unwrap()), 7)
    );
    let mut status = page.status.clone();
    status.append(page.status);
    assert_eq!(status.groups.len(), 1);
    assert_eq!(status.groups[0].nodes.len(), 2);
    assert!(StatusPage::decode(b"{").is_err());
}

#[test]
fn cursors_round_trip() {
    for group in [None, Some("group1".parse().unwrap())] {
        let cursor = StatusCursor { group, number: 9 };
        let mut body = BytesMut::new();
        cursor.encode(&mut body);
        assert_eq!(StatusCursor::decode(&body), Ok(cursor));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_panic(
        mut body in proptest::collection::vec(any::<u8>(), 0..64)
    ) {
        for version in [None, Some([0, 1])] {
            if let (Some(version), Some(head)) = (version, body.first_chunk_mut()) {
                *head = version;
            }
            let _ = OrderRequest::decode(&body);
            let _ = OrderAnswer::decode(&body);
            let _ = StatusCursor::decode(&body);
            let _ = StatusPage::decode(&body);
        }
    }
}
