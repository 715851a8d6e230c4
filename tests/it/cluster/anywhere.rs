//! Any node answers any URL from the moment the upload returned.

use super::harness::{Cluster, Plan, seed};
use super::load::Access;
use crate::support::chance;
use crate::support::http::Http;
use crate::support::tell;

/// Uploads, each read from both other nodes at once.
const UPLOADS: u64 = 1000;
/// Clients at the same time.
const CLIENTS: u64 = 4;

#[test]
fn a_url_works_on_every_node_as_soon_as_the_upload_returned() {
    let seed = seed();
    let cluster = Cluster::start(Plan::default());
    let access = Access::to(&cluster);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let access = &access;
            scope.spawn(move || {
                let [first, others @ ..] = access.places.as_slice() else {
                    panic!("there are nodes");
                };
                let mut others: Vec<Http> = others
                    .iter()
                    .map(|place| Http::connect(place.http).unwrap())
                    .collect();
                let mut wire = crate::support::wire::Wire::connect(first.storage).unwrap();
                for turn in 0..UPLOADS / CLIENTS {
                    let content = chance::content(seed ^ (number << 32) ^ turn, 3000);
                    let upload = crate::support::wire::UPLOAD;
                    let id = wire.upload(upload, "bin", &content).unwrap();
                    for http in &mut others {
                        let answer = http.ask("GET", &format!("/{}", id.text()), &[], None);
                        let answer = answer.unwrap();
                        let node = http.host();
                        assert_eq!(
                            answer.status,
                            200,
                            "{} from {node}: {}",
                            id.text(),
                            answer.text()
                        );
                        assert!(answer.body == content, "{} from {node}", id.text());
                    }
                }
            });
        }
    });
    tell(format_args!(
        "{UPLOADS} uploads at node 1, each read at once from nodes 2 and 3: all there"
    ));
}
