//! Whoever has a connection in a cluster.

/// An end of a connection. Trackers and nodes have numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Tracker(usize),
    Node(usize),
    Api,
    Client,
}

impl Member {
    /// The last number of its address.
    pub(super) fn last_number(self) -> u8 {
        let number = match self {
            Self::Client => 1,
            Self::Tracker(number) => 10 + number,
            Self::Api => 90,
            Self::Node(number) => 100 + number,
        };
        u8::try_from(number).unwrap()
    }
}
