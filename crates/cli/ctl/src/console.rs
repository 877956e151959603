//! Progress lines, in the forms that scripts know.

pub(crate) fn success(text: &str) {
    println!("{text}.");
}

pub(crate) fn failure(text: &str) {
    println!("{text} ... failed!");
}

pub(crate) fn warning(text: &str) {
    println!("{text} ... (warning).");
}

/// Tells how a step ended, and hands the verdict on.
pub(crate) fn step(text: &str, is_done: bool) -> bool {
    if is_done {
        success(text);
    } else {
        failure(text);
    }
    is_done
}
