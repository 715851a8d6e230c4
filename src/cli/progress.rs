//! Progress bars, on standard error and only where somebody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

fn target() -> ProgressDrawTarget {
    if output::watched() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// For work of unknown length.
pub(crate) fn spinner(message: String) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, target()).with_message(message);
    spinner.enable_steady_tick(std::time::Duration::from_millis(200));
    spinner
}

/// A bar that counts bytes; its length grows as files are found.
pub(crate) fn bytes() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), target());
    let style = "{bar:30} {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        // The template is ours; the default is good enough should it ever be wrong.
        Err(_) => bar,
    }
}
