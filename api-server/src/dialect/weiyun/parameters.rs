//! Parameters of a call: the pairs of its query, or of a body that is a form's.
//! Source: docs/api/weiyun.md §2.1.

use percent_encoding::percent_decode;

/// Bytes that a query or a form's body may have. A longer one is
/// [`Ret::BufferTooShort`](super::ret::Ret::BufferTooShort).
pub(super) const LEN_MAX: usize = 16 * 1024;

/// More bytes than [`LEN_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameters have {len} bytes, {LEN_MAX} are allowed")]
pub(super) struct TooLong {
    /// Bytes that came.
    pub(super) len: usize,
}

/// A value that is no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {name} is not UTF-8")]
pub(super) struct NotText {
    /// The parameter.
    pub(super) name: &'static str,
}

/// A name and a value, decoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    /// The name, whose case counts.
    pub(super) name: Vec<u8>,
    /// The value, whatever bytes it has.
    pub(super) value: Vec<u8>,
}

/// All parameters of a call, in their order.
///
/// Values are passwords and tokens as well, so none is ever printed.
#[derive(Default)]
pub(super) struct Parameters(Vec<Pair>);

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parameters({})", self.0.len())
    }
}

impl Parameters {
    /// The parameters of `name=value` pairs joined by `&`: percent-encoded, with `+` for a blank.
    /// Empty pairs, such as that behind a trailing `&`, are none.
    ///
    /// # Errors
    ///
    /// [`TooLong`], before anything is decoded.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TooLong> {
        let len = text.len();
        if LEN_MAX < len {
            return Err(TooLong { len });
        }
        let pairs = text.split(|byte| *byte == b'&');
        let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            Pair {
                name: half(),
                value: half(),
            }
        });
        Ok(Self(pairs.collect()))
    }

    /// These, and `others` behind them.
    pub(super) fn followed_by(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The first value of a parameter.
    ///
    /// # Errors
    ///
    /// [`NotText`].
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, NotText> {
        let pair = self.0.iter().find(|pair| pair.name == name.as_bytes());
        pair.map(|pair| std::str::from_utf8(&pair.value).map_err(|_| NotText { name }))
            .transpose()
    }

    /// The first value of a parameter if it says something: a value that is empty or no text is as
    /// good as none.
    pub(super) fn filled(&self, name: &'static str) -> Option<&str> {
        let text = self.text(name).ok().flatten();
        text.filter(|text| !text.is_empty())
    }

    /// Whether a parameter is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|pair| pair.name == name.as_bytes())
    }

    /// All of them.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.0
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let blanks = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
    let text: Vec<u8> = text.iter().map(blanks).collect();
    percent_decode(&text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parameters {
        Parameters::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_and_values_are_decoded_and_the_first_of_a_name_counts() {
        let parameters = parse("name=a%20b+c%2Bd.txt&n%61me=x&md5&sha=&size=3=4&");
        assert_eq!(parameters.text("name"), Ok(Some("a b c+d.txt")));
        assert_eq!(parameters.text("md5"), Ok(Some("")));
        assert_eq!(parameters.text("size"), Ok(Some("3=4")));
        assert_eq!(parameters.text("appid"), Ok(None));
        assert_eq!(parameters.filled("name"), Some("a b c+d.txt"));
        assert_eq!(parameters.filled("sha"), None);
        assert!(parameters.has("sha") && !parameters.has("Sha"));
        assert_eq!(parameters.pairs().len(), 5);
    }

    #[test]
    fn chinese_names_are_utf_8_and_nothing_else() {
        let parameters = parse("name=%E5%9B%BE.jpg&gbk=%B2%E2.jpg&raw=图");
        assert_eq!(parameters.text("name"), Ok(Some("图.jpg")));
        assert_eq!(parameters.text("gbk"), Err(NotText { name: "gbk" }));
        assert_eq!(parameters.text("raw"), Ok(Some("图")));
        assert_eq!(parameters.filled("gbk"), None);
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        let parameters = parse("a=%zz&b=100%&c=%4");
        assert_eq!(parameters.text("a"), Ok(Some("%zz")));
        assert_eq!(parameters.text("b"), Ok(Some("100%")));
        assert_eq!(parameters.text("c"), Ok(Some("%4")));
    }

    #[test]
    fn longer_queries_than_the_limit_are_refused() {
        let longest = format!("a={}", "x".repeat(LEN_MAX - 2));
        assert!(Parameters::parse(longest.as_bytes()).is_ok());
        let refused = Parameters::parse(format!("{longest}x").as_bytes());
        assert_eq!(refused.unwrap_err(), TooLong { len: LEN_MAX + 1 });
    }

    #[test]
    fn values_are_never_printed() {
        let parameters = parse("password=secret").followed_by(parse("a=b"));
        assert_eq!(format!("{parameters:?}"), "Parameters(2)");
        assert_eq!(parameters.text("a"), Ok(Some("b")));
    }
}
