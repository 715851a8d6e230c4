//! The console's cluster page in a real Chromium, over a cluster of which one node is dead and one is
//! drained: tests/browser/cluster.mjs. Screenshots stay in the folder `screenshots-cluster` of the build's
//! temporary files.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Cluster, Plan};
use crate::browser;
use crate::support::tell;

#[test]
fn the_console_says_why_a_node_is_dead() {
    let Some((packages, chromium)) = browser::tools() else {
        return;
    };
    let mut cluster = Cluster::start(Plan::default());
    let (mut api, address) = cluster.api("");
    api.start();
    browser::add_administrator(&api.data_dir());
    cluster.order(&["drain", "2"]).unwrap();
    cluster.nodes[2].kill();
    cluster.wait_dead(3);

    let scripts = browser::scripts(&packages);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots-cluster");
    // Those of an earlier run would be taken for this one's.
    let _ = fs::remove_dir_all(&screenshots);
    tell(format_args!("screenshots: {}", screenshots.display()));
    let looked = Command::new("node")
        .arg(scripts.path().join("cluster.mjs"))
        .arg(format!("http://{address}"))
        .arg(&screenshots)
        .env("CHROMIUM", chromium)
        .env("HAYLOFT_ADMIN_USER", browser::ADMINISTRATOR)
        .env("HAYLOFT_ADMIN_PASSWORD", browser::PASSWORD)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(
        looked.status.success() && said.contains("passed;"),
        "{said}{}",
        String::from_utf8_lossy(&looked.stderr)
    );
    api.terminate();
}
