//! Links between documents lead somewhere, and code cites documents that exist.

use super::{assert_none, files, root};

#[test]
fn relative_links_of_documents_resolve() {
    let mut broken = Vec::new();
    for file in files("md") {
        let dir = root().join(&file.path).parent().unwrap().to_owned();
        for target in targets(&file.text) {
            let path = target.split('#').next().unwrap();
            if !path.is_empty() && !dir.join(path).exists() {
                broken.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert_none(&broken, "links lead to files that exist");
}

/// Targets of `[text](target)` outside of code blocks, other sites left out.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
        }
    }
    found
}

#[test]
fn targets_are_found_outside_of_code_only() {
    let text = "[a](x.md) and [b](y.md#z), [c](https://example.com)\n```\n[d](no.md)\n```\n";
    assert_eq!(targets(text), ["x.md", "y.md#z"]);
}

#[test]
fn documents_cited_in_code_exist() {
    let mut broken = Vec::new();
    for file in files("rs") {
        if file.path == "tests/tidy/links.rs" {
            continue;
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            for rest in line.split("docs/").skip(1) {
                let end = rest.find(".md").map(|at| at + ".md".len());
                let Some(name) = end.and_then(|end| rest.get(..end)) else {
                    continue;
                };
                let is_name = |letter: char| letter.is_alphanumeric() || "/-_.".contains(letter);
                if name.chars().all(is_name) && !root().join("docs").join(name).exists() {
                    broken.push(format!("{}:{number}: docs/{name}", file.path));
                }
            }
        }
    }
    assert_none(&broken, "cited documents exist");
}
