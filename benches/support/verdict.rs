//! Rounds of two loads, and whether they are what they are to be.

use serde::Serialize;

use super::generator::Figures;

/// The head of the table; Markdown, to be pasted into the README.
pub(crate) const HEAD: &str = "\
| load | beside | per second: reference | Hayloft | ratio | p99 ms: reference | Hayloft | CPU µs: reference | Hayloft | target | |
|---|---|---|---|---|---|---|---|---|---|---|";

/// What a load is to reach.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Goal {
    /// Rate, as a part of the reference's, at least.
    pub(crate) rate: Option<f64>,
    /// Operations per second, at least.
    pub(crate) per_second: Option<f64>,
    /// 99th percentile of the latency, below so many milliseconds.
    pub(crate) p99_ms: Option<f64>,
}

/// The rounds of a row.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) load: String,
    pub(crate) beside: &'static str,
    pub(crate) goal: Goal,
    /// None if there is no reference on this machine, or in this row.
    pub(crate) reference: Vec<Figures>,
    pub(crate) hayloft: Vec<Figures>,
}

impl Outcome {
    /// A line of the table.
    pub(crate) fn text(&self) -> String {
        let both = |digits: usize, value: fn(&Figures) -> f64| {
            let show = |rounds: &[Figures]| match median(rounds, value) {
                Some(value) => format!("{value:.digits$}"),
                None => "–".to_owned(),
            };
            (show(&self.reference), show(&self.hayloft))
        };
        let (reference_rate, rate) = both(0, |figures| figures.per_second);
        let (reference_p99, p99) = both(2, p99_ms);
        let (reference_cpu, cpu) = both(1, |figures| figures.cpu_us);
        let ratio = self
            .ratio()
            .map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let (targets, verdict) = self.verdict();
        format!(
            "| {} | {} | {reference_rate} | {rate} | {ratio} | {reference_p99} | {p99} | \
             {reference_cpu} | {cpu} | {targets} | {verdict} |",
            self.load, self.beside,
        )
    }

    /// The targets in words, and whether all of those that can be judged are met.
    fn verdict(&self) -> (String, &'static str) {
        let Goal {
            rate,
            per_second,
            p99_ms: most,
        } = self.goal;
        let own_rate = median(&self.hayloft, |figures| figures.per_second);
        let own_p99 = median(&self.hayloft, p99_ms);
        let mut texts = Vec::new();
        let mut verdicts = Vec::new();
        if let Some(least) = rate {
            texts.push(format!("ratio ≥ {least}"));
            verdicts.extend(self.ratio().map(|ratio| least <= ratio));
        }
        if let Some(least) = per_second {
            texts.push(format!("≥ {least} per second"));
            verdicts.extend(own_rate.map(|rate| least <= rate));
        }
        if let Some(most) = most {
            texts.push(format!("p99 < {most} ms"));
            verdicts.extend(own_p99.map(|p99| p99 < most));
        }
        let verdict = match (verdicts.is_empty(), verdicts.iter().all(|is_met| *is_met)) {
            (true, _) => "",
            (false, true) => "met",
            (false, false) => "missed",
        };
        (texts.join(", "), verdict)
    }

    /// Of the median rates.
    fn ratio(&self) -> Option<f64> {
        let rate: fn(&Figures) -> f64 = |figures| figures.per_second;
        let reference = median(&self.reference, rate).filter(|rate| 0.0 < *rate)?;
        Some(median(&self.hayloft, rate)? / reference)
    }
}

fn p99_ms(figures: &Figures) -> f64 {
    figures.p99_us / 1_000.0
}

fn median(rounds: &[Figures], value: fn(&Figures) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().map(value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
