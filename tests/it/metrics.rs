//! The shipped alerts and dashboard ask for metrics that exist.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::deadline::eventually;
use crate::support::home::Home;
use crate::support::http;
use crate::support::server::Server;
use crate::support::wire::{UPLOAD, Wire};

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/hayloft.json");

/// Time within which everything here happens, many times over.
const DEADLINE: Duration = Duration::from_secs(20);

/// Names of metrics in an expression, without what Prometheus adds to those of a histogram.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("hayloft_") || word.starts_with("process_"))
        .map(|word| {
            let bare = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix));
            bare.unwrap_or(word).to_owned()
        })
        .collect()
}

fn is_balanced(expression: &str) -> bool {
    let mut open = Vec::new();
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let expected = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(expected) {
                    return false;
                }
            }
            _ => {}
        }
    }
    open.is_empty() && expression.matches('"').count().is_multiple_of(2)
}

/// Expressions of the alerts: each is one line, as the file is written.
fn alert_expressions() -> Vec<&'static str> {
    let lines = ALERTS.lines();
    lines
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .collect()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

fn panel_expressions(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard)
        .into_iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// What a server with all roles exposes, once it has a node and an upload.
fn exposed() -> BTreeSet<String> {
    let home = Home::new();
    let server = Server::start(&home);
    let mut storage = Wire::connect(server.addresses.storage).unwrap();
    storage.upload(UPLOAD, "txt", b"content").unwrap();
    let look = || {
        let answer = http::get(server.addresses.storage_http, "/metrics");
        let text = answer.text();
        let types = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned);
        types.collect::<BTreeSet<String>>()
    };
    eventually("the tracker tells of the node", DEADLINE, || {
        Some(look()).filter(|names| names.contains("hayloft_tracker_node_up"))
    })
}

#[test]
fn every_metric_of_alerts_and_dashboard_exists() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let expressions = panel_expressions(&dashboard);
    let alerts = alert_expressions().into_iter().map(str::to_owned);
    let wanted: BTreeSet<String> = alerts
        .chain(expressions)
        .flat_map(|it| metrics(&it))
        .collect();
    assert!(20 < wanted.len(), "{wanted:?}");
    let exposed = exposed();
    let missing: Vec<_> = wanted.difference(&exposed).collect();
    assert!(missing.is_empty(), "{missing:?} of {exposed:?}");
}

#[test]
fn every_alert_has_an_expression_a_summary_and_a_runbook_that_exists() {
    let operate = include_str!("../../docs/operate.md");
    let count = |prefix: &str| {
        let lines = ALERTS.lines().map(str::trim);
        lines.filter(|line| line.starts_with(prefix)).count()
    };
    let alerts = count("- alert: ");
    assert!(15 < alerts);
    assert_eq!(
        (count("expr: "), count("summary: "), count("runbook: ")),
        (alerts, alerts, alerts)
    );
    for expression in alert_expressions() {
        assert!(is_balanced(expression), "{expression}");
    }
    for line in ALERTS.lines() {
        if let Some(section) = line.trim().strip_prefix("runbook: ") {
            let heading = format!("# {}\n", section.trim_matches('"'));
            assert!(operate.contains(&heading), "{section}");
        }
    }
}

#[test]
fn the_dashboard_has_panels_of_their_own_that_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    for expression in panel_expressions(&dashboard) {
        assert!(is_balanced(&expression), "{expression}");
    }
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels(&dashboard) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{} overlaps", panel["title"]);
            }
        }
    }
}
