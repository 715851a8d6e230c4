//! Progress bars, on standard error and only where somebody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// A bar that counts bytes; its length grows as files are found.
pub(crate) fn bytes() -> ProgressBar {
    let target = if output::watched() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = "{bar:30} {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        // The template is ours; the default is good enough should it ever be wrong.
        Err(_) => bar,
    }
}
