//! Text that a stranger wrote, made fit for a status: bounded, and harmless on a terminal.

/// The beginning of `text` in at most `max` bytes of JSON, with an ellipsis where something was cut and control characters escaped.
pub(crate) fn head(text: &str, max: usize) -> String {
    let (mut kept, mut length) = (String::new(), 0);
    for character in text.chars() {
        let start = kept.len();
        push(&mut kept, character, false);
        length += json_length(&kept[start..]);
        if length > max {
            kept.truncate(start);
            while json_length(&kept) + ELLIPSIS.len() > max && kept.pop().is_some() {}
            kept.push_str(ELLIPSIS);
            break;
        }
    }
    kept
}

/// Bytes of a text without control characters between the quotes of its JSON.
fn json_length(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// The end of `text` in at most `max` bytes and whether something was cut. Newlines and tabs stay, other control characters are escaped.
pub(crate) fn tail(text: &str, max: usize) -> (String, bool) {
    let mut pieces = Vec::new();
    let mut length = 0;
    for character in text.chars().rev() {
        let mut piece = String::new();
        push(&mut piece, character, true);
        length += piece.len();
        if length > max {
            break;
        }
        pieces.push(piece);
    }
    pieces.reverse();
    (pieces.concat(), length > max)
}

const ELLIPSIS: &str = "…";

/// One character as it may stand in a status: control characters as `\u{1b}`, and so are those that reorder the text around them, by
/// which a guest could make a reader see what is not there.
fn push(out: &mut String, character: char, lines: bool) {
    let reorders = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if lines && matches!(character, '\n' | '\t') {
        out.push(character);
    } else if character.is_control() || reorders {
        out.extend(character.escape_default());
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests;
