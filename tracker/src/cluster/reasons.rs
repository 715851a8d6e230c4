//! Why a node or a volume path is not simply in service, in words for an operator.

use common::wire::report::{NodePhase, PathSpace, Progress, Standing};

use super::space::takes_writes;
use super::{Node, Now, ReservedSpace};

/// Silence that is worth a word: a heartbeat or two may be late.
const SILENCE_SHOWN_S: u64 = 3;

/// A count with its thousands set apart, such as `1,204`.
pub fn counted(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx != 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a unit that leaves few digits, as in "1.2 GiB".
pub fn sized(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        if bytes >> shift != 0 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

impl Node {
    /// What an operator should know about it, most important first; empty when all is well.
    pub fn reasons(&self, reserved: ReservedSpace, now: Now) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.entry().marks.standing {
            Standing::Member => {}
            Standing::Removed => return vec!["removed by an operator".to_owned()],
            Standing::Released => return vec!["removed, its number is free".to_owned()],
        }
        let silence = self.silence(now).map(|silence| silence.as_secs());
        match silence {
            None => return vec!["not heard since this tracker started".to_owned()],
            Some(seconds) if !self.is_alive() && self.said_farewell() => {
                return vec![format!("stopped {} s ago", counted(seconds))];
            }
            Some(seconds) if !self.is_alive() || SILENCE_SHOWN_S <= seconds => {
                reasons.push(format!("silent for {} s", counted(seconds)));
            }
            Some(_) if !self.has_reported() => reasons.push("joined, no report yet".to_owned()),
            Some(_) => {}
        }
        self.add_progress(&mut reasons);
        self.add_marks(&mut reasons);
        if self.has_reported() {
            self.add_paths(&mut reasons, reserved);
        }
        reasons
    }

    fn add_progress(&self, reasons: &mut Vec<String>) {
        let report = self.report();
        let doing = match report.phase {
            NodePhase::Serving => return,
            NodePhase::CatchingUp => "catching up",
            NodePhase::Recovering => "rebuilding",
        };
        reasons.push(match report.rebuild {
            Progress { total: 0, .. } => doing.to_owned(),
            Progress { done, total } => {
                format!("{doing}: {} of {}", sized(done), sized(total))
            }
        });
    }

    fn add_marks(&self, reasons: &mut Vec<String>) {
        let mark = |own: bool, text: &str| {
            if own {
                text.to_owned()
            } else {
                format!("{text} with its group")
            }
        };
        if self.is_draining() {
            reasons.push(mark(self.entry().marks.draining, "draining"));
        }
        if self.is_marked_read_only() {
            reasons.push(mark(self.entry().marks.read_only, "read-only"));
        }
    }

    fn add_paths(&self, reasons: &mut Vec<String>, reserved: ReservedSpace) {
        let report = self.report();
        if !report.readable {
            reasons.push("refuses reads".to_owned());
        }
        if !report.writable {
            reasons.push("refuses writes".to_owned());
        }
        let paths = &report.paths;
        let mut name = |which: &dyn Fn(&PathSpace) -> bool, text: &str| {
            let names: Vec<_> = paths
                .iter()
                .filter(|path| which(path))
                .map(|path| path.path.to_string())
                .collect();
            match names.len() {
                0 => {}
                count if count == paths.len() => reasons.push(text.to_owned()),
                _ => reasons.push(format!("{}: {text}", names.join(", "))),
            }
        };
        name(&|path| !path.is_complete, "incomplete");
        name(&|path| path.is_complete && path.read_only, "read-only disk");
        let count = paths.len();
        name(
            &|path| path.is_complete && !path.read_only && !takes_writes(path, reserved, count),
            "full",
        );
        if 0 < report.under_replicated {
            let count = counted(report.under_replicated);
            reasons.push(format!("{count} records with too few copies"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_204, "1,204"),
            (8_000_000, "8,000,000"),
        ] {
            assert_eq!(counted(count), text);
        }
    }

    #[test]
    fn bytes_have_the_unit_that_leaves_few_digits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1.0 KiB"),
            (8_000 << 20, "7.8 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(sized(bytes), text);
        }
    }
}
