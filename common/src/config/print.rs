//! The description as a commented TOML file and as a page of documentation.

use std::fmt::Write as _;

use super::section::{Description, Form, Key, Section as _, environment_name};
use super::settings::Config;

/// Every key with its meaning and default, as TOML that reads back to the defaults.
pub fn print_default() -> String {
    let mut out = String::from(
        "# Configuration of Hayloft. Every key stands here with its default.\n\
         # A flag wins over the environment (HAYLOFT_TRACKER_LISTEN is tracker.listen), which wins\n\
         # over this file. Check a changed file with `hayloft config check FILE`.\n",
    );
    toml_section(&Config::DESCRIPTION, "", &mut out);
    out
}

fn toml_section(description: &Description, path: &str, out: &mut String) {
    out.push('\n');
    comment(description.about, out);
    if !path.is_empty() {
        let _ = writeln!(out, "[{path}]");
    }
    for key in description.keys {
        out.push('\n');
        comment(key.doc, out);
        if let Some((least, most)) = key.bounds {
            let _ = writeln!(out, "# From {least} to {most}.");
        }
        let _ = writeln!(out, "{} = {}", key.name, literal(key));
    }
    for (name, below) in description.sections {
        toml_section(below, &join(path, name), out);
    }
}

fn comment(lines: &[&str], out: &mut String) {
    for line in lines {
        let _ = writeln!(out, "#{line}");
    }
}

/// A default as TOML writes it. Defaults need no escapes, which a test shows.
fn literal(key: &Key) -> String {
    match key.form {
        Form::Bare => key.default.to_owned(),
        Form::Quoted => format!("\"{}\"", key.default),
        Form::List | Form::Rows => {
            let elements: Vec<String> = key
                .default
                .split(',')
                .filter(|element| !element.is_empty())
                .map(|element| format!("\"{element}\""))
                .collect();
            format!("[{}]", elements.join(", "))
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        return name.to_owned();
    }
    format!("{path}.{name}")
}

/// The page docs/configuration.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         <!-- Written by `hayloft config print-default --markdown`; a test compares the two. -->\n\n\
         Every key has a default, so no file is needed.\n\
         A flag wins over the environment, which wins over the file, which wins over the default.\n\
         `hayloft config print-default` writes a complete file with comments; `hayloft config check FILE` \
         checks one and names file, line and remedy of every problem.\n\n\
         Durations are written `500ms`, `30s`, `5m`, `1h`, `7d`.\n\
         Sizes are written `64MiB` (powers of 1024; `64M` is the same), `64MB` (powers of 1000) or plain bytes.\n\
         In a variable, elements of a list are separated by commas; a list of tables can only be given in the file.\n",
    );
    markdown_section(&Config::DESCRIPTION, "", &mut out);
    out
}

fn markdown_section(description: &Description, path: &str, out: &mut String) {
    let title = match path {
        "" => "Top of the file".to_owned(),
        path => format!("`[{path}]`"),
    };
    let _ = writeln!(out, "\n## {title}\n\n{}\n", prose(description.about));
    let _ = writeln!(out, "| key | default | values | meaning | variable |");
    let _ = writeln!(out, "|---|---|---|---|---|");
    for key in description.keys {
        let bounds = key
            .bounds
            .map(|(least, most)| format!(", {least} to {most}"))
            .unwrap_or_default();
        let variable = match key.form {
            Form::Rows => "—".to_owned(),
            Form::Bare | Form::Quoted | Form::List => {
                format!("`{}`", environment_name(&join(path, key.name)))
            }
        };
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {}{bounds} | {} | {variable} |",
            key.name,
            literal(key),
            key.wanted,
            prose(key.doc),
        );
    }
    for (name, below) in description.sections {
        markdown_section(below, &join(path, name), out);
    }
}

fn prose(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}
