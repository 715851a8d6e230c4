//! How a section is described: one macro makes the struct, its documentation and its reader.

use super::reader::Reader;

/// What the name of every environment variable begins with.
pub(super) const ENVIRONMENT_PREFIX: &str = "HAYLOFT_";

/// One key as printed and checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name inside the section.
    pub(super) name: &'static str,
    /// What it means, a line per element.
    pub(super) doc: &'static [&'static str],
    /// What a value looks like.
    pub(super) wanted: &'static str,
    /// The default as text, without quotes.
    pub(super) default: &'static str,
    /// Smallest and largest value, as text.
    pub(super) bounds: Option<(&'static str, &'static str)>,
    /// How the text is written in TOML.
    pub(super) form: Form,
}

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is: numbers and truth values.
    Bare,
    /// In quotes.
    Quoted,
    /// A list of quoted texts.
    List,
    /// A list of tables; only a file can hold it.
    Rows,
}

/// A section and everything below it, as data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Description {
    /// What the section is for, a line per element.
    pub(super) about: &'static [&'static str],
    /// Its keys in printing order.
    pub(super) keys: &'static [Key],
    /// Its subsections in printing order.
    pub(super) sections: &'static [(&'static str, &'static Description)],
}

/// A struct of settings that knows its own description.
pub(super) trait Section: Sized {
    /// The section as data.
    const DESCRIPTION: Description;

    /// Reads every key; problems go to the reader and leave the default in place.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// All keys below `description` with their dotted paths.
pub(super) fn keys(
    description: &'static Description,
) -> impl Iterator<Item = (String, &'static Key)> {
    let mut found = Vec::new();
    collect(description, "", &mut found);
    found.into_iter()
}

fn collect(
    description: &'static Description,
    prefix: &str,
    found: &mut Vec<(String, &'static Key)>,
) {
    found.extend(
        description
            .keys
            .iter()
            .map(|key| (format!("{prefix}{}", key.name), key)),
    );
    for (name, below) in description.sections {
        collect(below, &format!("{prefix}{name}."), found);
    }
}

/// The environment variable of a key: `storage.anti_leech.ttl` is `HAYLOFT_STORAGE_ANTI_LEECH_TTL`.
pub(super) fn environment_name(path: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        path.replace('.', "_").to_ascii_uppercase()
    )
}

/// Declares a section: `name: Type = "default" in "least" to "most";` per key, then subsections.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $Name:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty = $default:literal $(in $least:literal to $most:literal)?;
            )*
        }
        sections {
            $( $sub:ident: $Sub:ident; )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        #[expect(clippy::allow_attributes, reason = "only some sections have many switches")]
        #[allow(clippy::struct_excessive_bools, reason = "each is a key of its own")]
        pub struct $Name {
            $( $(#[doc = $doc])+ pub $key: $Type, )*
            $( #[doc = concat!("The section `", stringify!($sub), "`.")] pub $sub: $Sub, )*
        }

        impl $crate::config::section::Section for $Name {
            const DESCRIPTION: $crate::config::section::Description = $crate::config::section::Description {
                about: &[$($about),+],
                keys: &[
                    $( $crate::config::section::Key {
                        name: stringify!($key),
                        doc: &[$($doc),+],
                        wanted: <$Type as $crate::config::value::Setting>::WANTED,
                        default: $default,
                        bounds: section!(@bounds $($least, $most)?),
                        form: <$Type as $crate::config::value::Setting>::FORM,
                    }, )*
                ],
                sections: &[
                    $( (stringify!($sub), &<$Sub as $crate::config::section::Section>::DESCRIPTION), )*
                ],
            };

            fn read(reader: &mut $crate::config::reader::Reader<'_>) -> Self {
                reader.check_names(&Self::DESCRIPTION);
                Self {
                    $( $key: section!(@read reader, stringify!($key), $Type, $default $(, $least, $most)?), )*
                    $( $sub: reader.section(stringify!($sub)), )*
                }
            }
        }
    };
    (@bounds) => { None };
    (@bounds $least:literal, $most:literal) => { Some(($least, $most)) };
    (@read $reader:ident, $name:expr, $Type:ty, $default:literal) => {
        $reader.key::<$Type>($name, $default)
    };
    (@read $reader:ident, $name:expr, $Type:ty, $default:literal, $least:literal, $most:literal) => {
        $reader.key_within::<$Type>($name, $default, $least, $most)
    };
}

/// Declares one row of a list of tables; a field without default must be given.
macro_rules! row {
    (
        $(#[doc = $about:literal])+
        $Name:ident as $wanted:literal {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty $(= $default:literal)?;
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Name {
            $( $(#[doc = $doc])+ pub $key: $Type, )*
        }

        impl $crate::config::value::Setting for Vec<$Name> {
            const WANTED: &'static str = $wanted;
            const FORM: $crate::config::section::Form = $crate::config::section::Form::Rows;

            fn from_text(text: &str) -> Result<Self, $crate::config::ValueError> {
                if text.is_empty() {
                    return Ok(Self::new());
                }
                Err($crate::config::ValueError::FileOnly)
            }

            fn from_value(
                value: &toml_edit::Value,
            ) -> Result<Self, $crate::config::value::Located> {
                $crate::config::value::rows(value, Self::WANTED)?
                    .into_iter()
                    .map(|row| {
                        row.check_names(&[$(stringify!($key)),*])?;
                        Ok($Name {
                            $( $key: row.field(stringify!($key), row!(@default $($default)?))?, )*
                        })
                    })
                    .collect()
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

pub(super) use {row, section};
