//! What XML says of single characters: white space, names, references, and the declaration that names the encoding.

use std::borrow::Cow;

/// A byte that may stand in a name.
const IN_NAME: u8 = 1;
/// A byte that a name may begin with.
const STARTS_NAME: u8 = 2;

/// What each byte may be. All of the bytes beyond ASCII pass: which of those characters a name may have is not checked.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | b':' | 0x80.. => IN_NAME | STARTS_NAME,
            b'0'..=b'9' | b'-' | b'.' => IN_NAME,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// Whether it is one of XML's four kinds of white space.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether it may stand in a name.
#[inline]
pub(super) fn is_in_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & IN_NAME != 0
}

/// How long the name is that `bytes` begin with; 0 if they begin with none.
#[inline]
pub(super) fn name_len(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(&first) if CLASSES[usize::from(first)] & STARTS_NAME != 0 => {
            bytes.iter().position(|&byte| !is_in_name(byte)).unwrap_or(bytes.len())
        }
        _ => 0,
    }
}

/// Whether all of it is one name.
#[inline]
pub(super) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && name_len(bytes) == bytes.len()
}

/// How much white space `bytes` begin with.
#[inline]
pub(super) fn space_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_space(byte)).unwrap_or(bytes.len())
}

/// The character that `&name;` stands for, or why it stands for none.
pub(super) fn reference(name: &str) -> Result<char, String> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => match name.strip_prefix('#') {
            Some(number) => character(number)
                .ok_or_else(|| format!("&{}; stands for no character that XML allows", shown(name.as_bytes()))),
            None => Err(format!(
                "the entity &{}; is unknown: only lt, gt, amp, apos and quot are, and entities that a DTD declares are \
                 never read; write the text itself",
                shown(name.as_bytes())
            )),
        },
    }
}

fn character(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` would take a sign, too.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    let allowed = matches!(code, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF);
    char::from_u32(code).filter(|_| allowed)
}

/// The beginning of what was found, for a message.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    const SHOWN: usize = 60;
    match bytes.get(..SHOWN) {
        Some(beginning) => Cow::Owned(format!("{}…", String::from_utf8_lossy(beginning))),
        None => String::from_utf8_lossy(bytes),
    }
}

/// UTF-8's byte order mark.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The encoding that the beginning of a document betrays when it is not UTF-8.
pub(super) fn foreign(start: &[u8]) -> Option<&'static str> {
    match start {
        [0, 0, 0, b'<', ..] | [b'<', 0, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [0xFF, 0xFE, 0, 0, ..] => Some("UTF-32"),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, b'<', ..] | [b'<', 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// The refusal of a document that is not in UTF-8.
pub(super) fn refuse_encoding(found: &str) -> String {
    format!("expected UTF-8, found the encoding {found}: convert the input to UTF-8 first (iconv does)")
}

/// What is wrong, and at which byte of what was looked at.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) byte: usize,
    pub(super) message: String,
}

/// That this is wrong.
#[cold]
pub(super) fn fault<T>(byte: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { byte, message: message.into() })
}

/// Checks what stands between `<?xml` and `?>`: a version 1.x, then perhaps an encoding, which has to be UTF-8, then
/// perhaps whether the document stands alone. The fault's byte counts from the beginning of `content`.
pub(super) fn declaration(content: &[u8]) -> Result<(), Fault> {
    let mut expected: &[&str] = &["version", "encoding", "standalone"];
    let mut at = 0;
    loop {
        let space = space_len(&content[at..]);
        at += space;
        if at == content.len() {
            break;
        }
        let item = Item::at(content, at)?;
        let name = shown(&content[item.name.clone()]).into_owned();
        let Some(place) = expected.iter().position(|&known| known == name).filter(|_| space > 0) else {
            return fault(at, "expected version, encoding and standalone, in this order, in the XML declaration");
        };
        if expected.len() == 3 && place > 0 {
            return fault(at, "expected version first in the XML declaration");
        }
        expected = &expected[place + 1..];
        declared(&name, &content[item.value.clone()]).or_else(|message| fault(item.value.start, message))?;
        at = item.end;
    }
    match expected.len() {
        3 => fault(at, "expected a version in the XML declaration, such as version=\"1.0\""),
        _ => Ok(()),
    }
}

fn declared(name: &str, value: &[u8]) -> Result<(), String> {
    match (name, value) {
        ("version", [b'1', b'.', minor @ ..]) if !minor.is_empty() && minor.iter().all(u8::is_ascii_digit) => Ok(()),
        ("version", _) => Err(format!("expected the XML version 1.0, found {}", shown(value))),
        ("encoding", _) if value.eq_ignore_ascii_case(b"UTF-8") || value.eq_ignore_ascii_case(b"UTF8") => Ok(()),
        ("encoding", _) => Err(refuse_encoding(&shown(value))),
        (_, b"yes" | b"no") => Ok(()),
        (_, _) => Err(format!("expected standalone to be yes or no, found {}", shown(value))),
    }
}

/// Where `name = "value"` stands.
pub(super) struct Item {
    pub(super) name: std::ops::Range<usize>,
    /// Without its quotes.
    pub(super) value: std::ops::Range<usize>,
    /// After the closing quote.
    pub(super) end: usize,
}

impl Item {
    /// The item that begins at `at`. The value is only looked at for its end.
    #[inline]
    pub(super) fn at(content: &[u8], at: usize) -> Result<Self, Fault> {
        let name = at..at + name_len(&content[at..]);
        if name.is_empty() {
            return fault(at, format!("expected an attribute's name, found {}", shown(&content[at..])));
        }
        let equals = name.end + space_len(&content[name.end..]);
        if content.get(equals) != Some(&b'=') {
            return fault(equals, format!("expected = after the attribute {}", shown(&content[name])));
        }
        let open = equals + 1 + space_len(&content[equals + 1..]);
        let Some(&quote @ (b'"' | b'\'')) = content.get(open) else {
            return fault(open, format!("expected a quoted value for the attribute {}", shown(&content[name])));
        };
        match content[open + 1..].iter().position(|&byte| byte == quote) {
            Some(len) => Ok(Self { name, value: open + 1..open + 1 + len, end: open + len + 2 }),
            None => fault(open, format!("the value of the attribute {} has no closing quote", shown(&content[name]))),
        }
    }
}
