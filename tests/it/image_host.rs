//! The image-host document as one story: every example in its order, request and answer as it prints
//! them, against the real server, with a restart in the middle.
//!
//! The examples are in tests/golden/image-host.json. Each was made at another time with other files, so
//! the story puts the files in place that an example speaks of. What a server chooses (tokens, links,
//! addresses, times) and the digests of our contents, which have the printed sizes, take the place of
//! what is printed. An address must lead to the exact bytes, and a time must be that of the server's
//! wall.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};

use crate::support::chance;
use crate::support::home::Home;
use crate::support::http::Http;
use crate::support::image_host::{Client, Label, code_of, is_hex_of_128_bits, json_of, literal};
use crate::support::server::Server;

/// The server's time zone: eight hours east, as the document's.
const ZONE: (&str, &str) = ("TZ", "CST-8");

/// Seconds that something may have taken on a busy machine until its time is looked at.
const AGE_MAX: i64 = 300;

/// The document's files, with the sizes and digests that it prints. It tells no size of the last one.
const FILES: [(&str, usize, &str); 5] = [
    ("Qt5Svg.dll", 359_424, "6c5fa2864bb264c91167258b3e478fa0"),
    ("1.png", 44_475, "c32b5d82be3d2fcec96de06e81f87814"),
    ("ui_buttongroup.h", 582, "a89390d867d5da18c8b1a95908d7c653"),
    ("Makefile", 33_028, "602fdf30db2aacf517badf4565124f51"),
    (
        "object_script.0voiceCloudDisk.Debug",
        1,
        "4d41f1670e561265d08d8900a5b33550",
    ),
];

/// The token of section 11, where all other sections print the one of the login.
const OTHER_TOKEN: &str = "82b363791cc123e9a50d0fbf60412652";
const TOKEN: &str = "3a58ca22317e637797f8bcad5c047446";

/// The link of the picture share.
const LINK: &str = "602fdf30db2aacf517badf4565121234";

/// The documented upload, with the printed digest.
const SAMPLE: (&str, &str) = ("main.cpp", "5f2a390a60cb3d51355469fea61efa0b");

#[test]
fn every_example_of_the_document_is_answered_as_it_prints() {
    let mut story = Story::begin();

    story.example("1");
    story.example("2");
    let mut king = Client::register(story.connect(), "King");

    story.upload("Qt5Svg.dll");
    story.upload("1.png");
    story.own("/api/dealfile?cmd=pv", "Qt5Svg.dll");
    story.example("3");
    story.example("4");
    story.own("/api/dealfile?cmd=del", "Qt5Svg.dll");
    story.own("/api/dealfile?cmd=del", "1.png");
    story.example("4, no files");
    story.upload("ui_buttongroup.h");
    story.upload("Makefile");
    story.own("/api/dealfile?cmd=share", "ui_buttongroup.h");
    story.example("5");
    story.example("6");

    story.example("7");
    story.cancel("ui_buttongroup.h");
    story.own("/api/dealfile?cmd=share", "Makefile");
    story.own("/api/dealfile?cmd=share", "ui_buttongroup.h");
    story.example("8");

    // Sessions, files and shares are those of before, for writes without a token, too.
    story.restart();
    king.reconnect(story.connect());
    story.example("8");
    story.cancel("Makefile");

    story.example("9");
    let link = story.link_to("Makefile");
    story.example("10");
    assert_eq!(king.get(&link).unwrap().status, 404, "{link}");
    assert_eq!(story.shares().len(), 1, "the share went with its file");
    story.upload("object_script.0voiceCloudDisk.Debug");
    story.example("11");
    let row = story.row("object_script.0voiceCloudDisk.Debug");
    assert_eq!((&row["pv"], &row["type"]), (&json!(1), &json!("debug")));

    story.example("12");
    assert_eq!(story.shares().len(), 0);
    story.own("/api/dealfile?cmd=share", "ui_buttongroup.h");
    story.example("13");
    let rows = king.own_list("/api/myfiles?cmd=normal").unwrap();
    assert_eq!(rows[0]["user"], "King", "{rows:?}");
    assert_eq!(rows[0]["share_status"], 0, "{rows:?}");
    story.example("14");
    assert_eq!(story.shares()[0]["pv"], 1);
    assert_eq!(story.row("ui_buttongroup.h")["pv"], 0, "the owner's own");
    // A share that is taken back loses its count.
    story.cancel("ui_buttongroup.h");
    story.own("/api/dealfile?cmd=share", "ui_buttongroup.h");
    story.own(
        "/api/dealfile?cmd=share",
        "object_script.0voiceCloudDisk.Debug",
    );
    story.example("15");

    // King still has the content, so it need not be sent again.
    story.own("/api/dealfile?cmd=del", "ui_buttongroup.h");
    story.example("16");
    story.link_to("ui_buttongroup.h");
    story.example("17");
    let row = story.row(SAMPLE.0);
    assert_eq!(
        (&row["md5"], &row["size"]),
        (&json!(SAMPLE.1), &json!(198)),
        "{row}"
    );
    story.link_to(SAMPLE.0);

    story.upload("Makefile");
    story.example("17.1");
    story.share_page();
    story.example("17.2");
    story.example("17.4");
    assert_eq!(story.browse(), 1, "it was taken back");
    story.example("17.1");
    story.own("/api/sharepic?cmd=share", "ui_buttongroup.h");
    story.example("17.3");
    story.example("17.2");
    story.own("/api/dealfile?cmd=del", "Makefile");
    assert_eq!(story.browse(), 2, "its file was deleted");

    story.end();
}

struct Story {
    /// There is one, except between two.
    server: Option<Server>,
    client: Client,
    /// By section, with the number of times that it was told.
    examples: BTreeMap<String, (Value, u32)>,
    contents: BTreeMap<String, Vec<u8>>,
    /// What the document prints, and what stands for it here.
    names: BTreeMap<String, String>,
    // Dropped after the server, whose files it holds.
    home: Home,
}

impl Story {
    fn begin() -> Self {
        let home = Home::new();
        let server = Server::start_with(&home, &[ZONE]);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/image-host.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let examples: BTreeMap<_, _> = golden["exchanges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|example| {
                let section = example["section"].as_str().unwrap();
                (section.to_owned(), (example.clone(), 0))
            })
            .collect();
        assert_eq!(examples.len(), 22);
        let mut contents = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (seed, (name, size, md5)) in (1..).zip(FILES) {
            let content = chance::content(seed, size);
            names.insert(md5.to_owned(), Label::new(name, &content).md5);
            contents.insert(name.to_owned(), content);
        }
        let http = Http::connect(server.addresses.api).unwrap();
        Self {
            server: Some(server),
            client: Client::stranger(http, "qingfu"),
            examples,
            contents,
            names,
            home,
        }
    }

    fn connect(&self) -> Http {
        Http::connect(self.server.as_ref().unwrap().addresses.api).unwrap()
    }

    fn restart(&mut self) {
        self.server.take().unwrap().terminate();
        self.server = Some(Server::start_with(&self.home, &[ZONE]));
        let http = self.connect();
        self.client.reconnect(http);
    }

    fn end(mut self) {
        let untold = self.examples.iter().filter(|(_, (_, told))| *told == 0);
        let untold: Vec<&String> = untold.map(|(section, _)| section).collect();
        assert!(untold.is_empty(), "{untold:?}");
        self.server.take().unwrap().terminate();
    }

    /// Sends what the document prints and compares what comes with what it prints.
    fn example(&mut self, section: &str) {
        let (example, told) = self.examples.get_mut(section).expect("a section");
        *told += 1;
        let example = example.clone();
        let target = example["target"].as_str().unwrap();
        let answer = if example["method"] == "GET" {
            self.client.get(target)
        } else {
            let printed = example["request"].as_str().unwrap();
            if section == "17" {
                let (_, content) = printed.split_once("\r\n\r\n").unwrap();
                let (content, _) = content.rsplit_once("\r\n").unwrap();
                let content = content.as_bytes().to_vec();
                // The document's body is exactly what our own uploads look like.
                let ours = literal("qingfu", SAMPLE.0, &content);
                assert_eq!(printed.as_bytes(), ours);
                self.contents.insert(SAMPLE.0.to_owned(), content);
            }
            let kind = example["content_type"].as_str();
            let request = self.translate(printed);
            let kind = kind.unwrap_or("application/json");
            self.client.send(target, kind, request.as_bytes())
        };
        let answer = json_of(&answer.unwrap());
        let mut expected = example["answer"].clone();
        let settled = example["settled"].as_object().cloned();
        expected
            .as_object_mut()
            .unwrap()
            .extend(settled.unwrap_or_default());
        self.compare(section, &expected, &answer);
    }

    /// A request with our tokens, links and digests.
    fn translate(&self, printed: &str) -> String {
        self.names
            .iter()
            .fold(printed.to_owned(), |text, (printed, ours)| {
                text.replace(printed, ours)
            })
    }

    fn compare(&mut self, section: &str, expected: &Value, got: &Value) {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => {
                self.compare_members(section, expected, got);
            }
            (Value::Array(expected), Value::Array(got)) => {
                assert_eq!(expected.len(), got.len(), "{section}: {got:?}");
                for (expected, got) in expected.iter().zip(got) {
                    self.compare(section, expected, got);
                }
            }
            (expected, got) => assert_eq!(expected, got, "{section}"),
        }
    }

    fn compare_members(
        &mut self,
        section: &str,
        expected: &Map<String, Value>,
        got: &Map<String, Value>,
    ) {
        let members = |object: &Map<String, Value>| {
            let mut members: Vec<String> = object.keys().cloned().collect();
            members.sort();
            members
        };
        assert_eq!(members(expected), members(got), "{section}: {got:?}");
        for (member, printed) in expected {
            let value = &got[member];
            let text = || (printed.as_str().unwrap(), value.as_str().unwrap());
            match member.as_str() {
                "token" | "urlmd5" => {
                    let (printed, ours) = text();
                    assert!(is_hex_of_128_bits(ours), "{section}: {ours}");
                    self.names.insert(printed.to_owned(), ours.to_owned());
                    if printed == TOKEN {
                        ours.clone_into(&mut self.client.token);
                        self.names.insert(OTHER_TOKEN.to_owned(), ours.to_owned());
                    }
                }
                "md5" | "filemd5" => {
                    let (printed, ours) = text();
                    assert_eq!(self.names[printed], ours, "{section}");
                }
                "create_time" | "time" => assert_is_now(text().1),
                "url" => {
                    // The answer about a picture names no file; the document's is this one.
                    let name = got
                        .get("file_name")
                        .map_or("Makefile", |name| name.as_str().expect("a name is a text"));
                    self.assert_leads_to(name, text().1);
                }
                _ => self.compare(section, printed, value),
            }
        }
    }

    /// The address is one of this server, with a name as the original makes them, and leads to the
    /// exact bytes.
    fn assert_leads_to(&mut self, name: &str, url: &str) {
        let content = self.contents[name].clone();
        let base = format!("http://{}/group1/M00/", self.client.host());
        let path = url.strip_prefix(&base);
        let path = path.unwrap_or_else(|| panic!("{url} is not below {base}"));
        let (folders, file) = path.split_at(6);
        assert!(
            folders
                .bytes()
                .zip(b"XX/XX/")
                .all(|(byte, pattern)| match pattern {
                    b'X' => byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte),
                    _ => byte == *pattern,
                }),
            "{url}"
        );
        assert_eq!(file.len(), 34, "{url}");
        let told = unpack(&file[..27]);
        assert_eq!(told[4..8], now_field(&told[4..8]), "the time in {url}");
        let size = u32::try_from(content.len()).unwrap();
        assert_eq!(told[12..16], size.to_be_bytes(), "the size in {url}");
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        let found = file.rsplit_once('.').map(|(_, extension)| extension);
        assert_eq!(found, extension, "{url}");
        let answer = self.client.get(url).unwrap();
        assert_eq!(answer.status, 200, "{url}");
        assert!(answer.body == content, "the bytes of {name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }

    /// Uploads a file of the document.
    fn upload(&mut self, name: &str) {
        let content = &self.contents[name];
        assert_eq!(self.client.upload(name, content).unwrap(), 0, "{name}");
    }

    fn label(&self, name: &str) -> Label {
        Label::new(name, &self.contents[name])
    }

    /// A call about an own file, which must succeed.
    fn own(&mut self, target: &str, name: &str) {
        let label = self.label(name);
        let code = self.client.ask_as_owner(target, &label).unwrap();
        assert_eq!(code, 0, "{target} {name}");
    }

    /// Takes a share back, as the document does: without a token.
    fn cancel(&mut self, name: &str) {
        let label = self.label(name);
        let code = self
            .client
            .ask_by_name("/api/dealsharefile?cmd=cancel", &label);
        assert_eq!(code.unwrap(), 0, "{name}");
    }

    fn shares(&mut self) -> Vec<Value> {
        let rows = self.client.public_list("/api/sharefiles?cmd=normal");
        rows.unwrap()
    }

    /// The row of an own file.
    fn row(&mut self, name: &str) -> Value {
        let rows = self.client.own_list("/api/myfiles?cmd=normal").unwrap();
        let row = rows.iter().find(|row| row["file_name"] == name);
        row.unwrap_or_else(|| panic!("{name} is not in {rows:?}"))
            .clone()
    }

    /// The address of an own file, which leads there.
    fn link_to(&mut self, name: &str) -> String {
        let url = self.row(name)["url"].as_str().unwrap().to_owned();
        self.assert_leads_to(name, &url);
        url
    }

    /// What browsing of the picture share answers.
    fn browse(&mut self) -> u64 {
        let body = json!({"urlmd5": self.names[LINK]});
        code_of(&self.client.ask("/api/sharepic?cmd=browse", &body).unwrap())
    }

    /// The link that the document shows leads to a page, which is no visit.
    fn share_page(&mut self) {
        let link = self.names[LINK].clone();
        let answer = self.client.get(&format!("/api/share?urlmd5={link}"));
        let answer = answer.unwrap();
        assert_eq!(answer.status, 302);
        let page = answer.header("location").to_owned();
        assert_eq!(page, format!("/share?urlmd5={link}"));
        let page = self.client.get(&page).unwrap();
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
        assert_ne!(page.header("content-security-policy"), "");
        assert!(page.text().contains("<title>") && !page.text().contains(&link));
    }
}

/// The 20 bytes of a name's first 27 characters.
fn unpack(characters: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = Vec::new();
    let (mut bits, mut len) = (0u32, 0);
    for character in characters.chars() {
        let value = ALPHABET.find(character);
        let value = value.unwrap_or_else(|| panic!("{character} in {characters}"));
        bits = (bits << 6 | u32::try_from(value).unwrap()) & 0xffff;
        len += 6;
        if 8 <= len {
            len -= 8;
            bytes.push(u8::try_from(bits >> len & 0xff).unwrap());
        }
    }
    assert_eq!(bytes.len(), 20);
    bytes
}

/// The field itself if it is a time of just now, else the time.
fn now_field(field: &[u8]) -> [u8; 4] {
    let seconds = u32::from_be_bytes(field.try_into().unwrap());
    let now = Timestamp::now().as_second();
    if (now - AGE_MAX..=now + 1).contains(&seconds.into()) {
        seconds.to_be_bytes()
    } else {
        u32::try_from(now).unwrap().to_be_bytes()
    }
}

/// The text is the time of the server's wall, in the documented form.
fn assert_is_now(text: &str) {
    assert_eq!(text.len(), "2021-05-15 11:31:00".len(), "{text}");
    let told = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).unwrap();
    let told = Offset::constant(8).to_timestamp(told).unwrap().as_second();
    let now = Timestamp::now().as_second();
    assert!(
        (now - AGE_MAX..=now + 1).contains(&told),
        "{text} is {} s ago",
        now - told
    );
}
