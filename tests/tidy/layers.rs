//! Dependencies point down: `use` lines show it, and these tests read them.

use super::{assert_none, files, root};

/// In files whose path begins with `under`, code may not say any of `words`.
struct Layer {
    under: &'static str,
    /// Paths that begin so are left out.
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const IO: &[&str] = &[
    "tokio",
    "hyper",
    "std::fs",
    "std::net::Tcp",
    "rocksdb",
    "memmap2",
];

const LAYERS: &[Layer] = &[
    Layer {
        under: "common/src/id/",
        except: &[],
        words: IO,
        why: "ids are values",
    },
    Layer {
        under: "common/src/wire/",
        except: &[],
        words: IO,
        why: "messages are values",
    },
    Layer {
        under: "common/src/config/",
        except: &[],
        words: IO,
        why: "the configuration is text; whoever reads files is elsewhere",
    },
    Layer {
        under: "common/src/",
        except: &[],
        words: &["rocksdb", "memmap2"],
        why: "common knows no volume and no index",
    },
    Layer {
        under: "common/src/",
        except: &[
            "common/src/telemetry.rs",
            "common/src/testing/",
            "common/src/web/server/tests/tls.rs",
            "common/src/web/tls.rs",
        ],
        words: &["std::fs", "tokio::fs"],
        why: "common opens no file, except /proc for figures, certificates, and golden files for tests",
    },
    Layer {
        under: "tracker/src/cluster/",
        except: &[],
        words: IO,
        why: "the cluster decides and does no IO",
    },
    Layer {
        under: "storage-node/src/format/",
        except: &[],
        words: IO,
        why: "formats are bytes",
    },
    Layer {
        under: "storage-node/src/format/",
        except: &[],
        words: &[
            "crate::disk",
            "crate::volume",
            "crate::index",
            "crate::store",
            "crate::service",
        ],
        why: "format stands below all others",
    },
    Layer {
        under: "storage-node/src/disk/",
        except: &[],
        words: &[
            "crate::volume",
            "crate::index",
            "crate::store",
            "crate::service",
            "rocksdb",
        ],
        why: "format <- disk <- volume",
    },
    Layer {
        under: "storage-node/src/volume/",
        except: &[],
        words: &["crate::index", "crate::store", "crate::service", "rocksdb"],
        why: "a volume does not know that it is indexed",
    },
    Layer {
        under: "storage-node/src/index/",
        except: &[],
        words: &["crate::store", "crate::service", "tokio", "hyper"],
        why: "the index is derived and asks nobody",
    },
    Layer {
        under: "storage-node/src/store/",
        except: &[],
        words: &["crate::service", "crate::http", "hyper", "rocksdb"],
        why: "the store knows no protocol and no kind of index",
    },
    Layer {
        under: "api-server/src/core/",
        except: &[],
        words: &[
            "tokio",
            "hyper",
            "std::fs",
            "std::net::Tcp",
            "rocksdb",
            "serde_json",
            "http::",
        ],
        why: "the core knows no IO, no HTTP and no JSON",
    },
    Layer {
        under: "api-server/src/core/",
        except: &[],
        words: &[
            "crate::backend",
            "crate::service",
            "crate::http",
            "crate::dialect",
            "crate::thumbnail",
        ],
        why: "core stands below all others",
    },
    Layer {
        under: "api-server/src/backend/",
        except: &[],
        words: &["crate::service", "crate::http", "crate::dialect", "hyper"],
        why: "a backend does not know what it is used for",
    },
    Layer {
        under: "api-server/src/service/",
        except: &[],
        words: &[
            "crate::http",
            "crate::dialect",
            "rocksdb",
            "serde_json",
            "hyper",
        ],
        why: "the service knows no protocol and no kind of database",
    },
    Layer {
        under: "api-server/src/http/",
        except: &[],
        words: &["crate::dialect", "rocksdb"],
        why: "http <- dialect",
    },
    Layer {
        under: "api-server/src/dialect/",
        except: &[],
        words: &["rocksdb", "crate::run"],
        why: "a dialect knows no kind of database",
    },
];

#[test]
fn dependencies_point_down() {
    let sources = files("rs");
    let mut broken = Vec::new();
    for layer in LAYERS {
        for file in &sources {
            let is_except = layer.except.iter().any(|path| file.path.starts_with(path));
            if !file.path.starts_with(layer.under) || is_except || file.path.ends_with("/tests.rs")
            {
                continue;
            }
            // Tests stand at the end of a file and may use what they like.
            let code = file
                .code()
                .take_while(|(_, line)| !line.starts_with("mod tests {"));
            for (number, line) in code {
                if let Some(word) = layer.words.iter().find(|word| mentions(line, word)) {
                    broken.push(format!("{}:{number}: {word} ({})", file.path, layer.why));
                }
            }
        }
    }
    assert_none(&broken, "a layer may not use what stands above it");
}

/// Whether `line` uses the path `word`: as the beginning of a path and not inside another name.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).unwrap_or_default();
        let whole = word.contains("::") || after.starts_with("::");
        whole && !before.is_some_and(is_name)
    })
}

#[test]
fn a_mention_is_a_path_and_not_a_part_of_a_name() {
    assert!(mentions("use tokio::net::TcpStream;", "tokio"));
    assert!(mentions("let file = std::fs::read(path);", "std::fs"));
    assert!(!mentions("let my_tokio = 1;", "tokio"));
    assert!(!mentions("let text = \"hyper\";", "hyper"));
    assert!(!mentions("mystd::fs::read()", "std::fs"));
}

#[test]
fn the_servers_do_not_depend_on_one_another() {
    let servers = ["tracker", "storage-node", "api-server"];
    for package in servers {
        let text = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for other in servers {
            assert!(
                !dependencies.contains_key(other),
                "{package} depends on {other}"
            );
        }
        assert!(
            dependencies.contains_key("common"),
            "{package} shares the vocabulary"
        );
    }
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    for file in files("toml") {
        if !file.path.ends_with("Cargo.toml") || file.path.starts_with("fuzz/") {
            continue;
        }
        let manifest: toml::Table = file.text.parse().unwrap();
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{}", file.path);
    }
}
