//! [`around_difference`]: two long texts, for a message that says what differs.

/// How far before and behind the first difference two texts are shown.
const SHOWN: usize = 60;

/// Both texts around the place where they first differ.
pub fn around_difference(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(SHOWN);
    (excerpt(a, from, same), excerpt(b, from, same))
}

fn excerpt(text: &str, from: usize, middle: usize) -> String {
    let len = text.chars().count();
    let to = len.min(middle + SHOWN);
    let before = if from > 0 { "…" } else { "" };
    let behind = if to < len { "…" } else { "" };
    let shown: String = text.chars().skip(from).take(to - from.min(to)).collect();
    format!("{before}{shown}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shown_around_the_difference() {
        let (a, b) = around_difference(&format!("{}X{}", "é".repeat(100), "y".repeat(100)), &"é".repeat(100));
        assert_eq!(a, format!("…{}X{}…", "é".repeat(60), "y".repeat(59)));
        assert_eq!(b, format!("…{}", "é".repeat(60)));
        assert_eq!(around_difference("ab", "abc"), ("ab".to_owned(), "abc".to_owned()));
    }
}
