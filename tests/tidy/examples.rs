//! The example configurations of `deploy/` are read as a server would read them.

use common::config::{Config, Sources};

use super::root;

fn load(name: &str) -> Config {
    let path = root().join("deploy/examples").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    match Sources::new().file(name, text).load() {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn every_example_configuration_is_accepted() {
    let dir = root().join("deploy/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        load(&name);
        count += 1;
    }
    assert!(0 < count);
}

#[test]
fn the_example_cluster_fits_together() {
    let trackers = [load("tracker1.toml"), load("tracker2.toml")];
    let nodes = [load("storage1.toml"), load("storage2.toml")];
    let api = load("api.toml");
    for client in nodes
        .iter()
        .map(|node| &node.storage.trackers)
        .chain([&api.api.trackers])
    {
        assert_eq!(
            client.len(),
            trackers.len(),
            "everyone reports to every tracker"
        );
        for (address, tracker) in client.iter().zip(&trackers) {
            assert_eq!(address.port(), tracker.tracker.listen.port());
        }
    }
    for (tracker, other) in [(0, 1), (1, 0)] {
        let peers = &trackers[tracker].tracker.peers;
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0], nodes[0].storage.trackers[other]);
    }
    assert_eq!(
        nodes[0].storage.group, nodes[1].storage.group,
        "the two mirror each other"
    );
    let paths = |node: &Config| -> Vec<_> {
        let paths = node.storage.store_path_volumes();
        paths.flat_map(|(_, paths)| paths).collect()
    };
    assert_eq!(paths(&nodes[0]), paths(&nodes[1]));
    assert_ne!(nodes[0].storage.node_number, nodes[1].storage.node_number);
    for node in &nodes {
        assert!(node.storage.node_number.is_some());
        assert_eq!(
            node.storage.reserved_space,
            trackers[0].tracker.reserved_space
        );
    }
}

#[test]
fn units_and_image_name_the_files_that_exist() {
    for unit in [
        "hayloft",
        "hayloft-tracker",
        "hayloft-storage",
        "hayloft-api",
    ] {
        let path = root().join(format!("deploy/systemd/{unit}.service"));
        let text = std::fs::read_to_string(&path).unwrap();
        let starts = text
            .lines()
            .filter(|line| line.starts_with("ExecStart=/usr/bin/hayloft "));
        assert_eq!(starts.count(), 1, "{unit}");
        // The drain of the default configuration must fit.
        let stop: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("TimeoutStopSec="))
            .unwrap()
            .parse()
            .unwrap();
        assert!(Config::default().drain.as_secs() < stop, "{unit}");
    }
    let dockerfile = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    assert!(dockerfile.contains("--profile dist"));
}
