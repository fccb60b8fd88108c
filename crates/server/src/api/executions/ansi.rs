//! Colours of terminals: left out, or as HTML. Everything else a terminal could be told (moving, erasing, titles, links) is
//! left out of both.

use std::borrow::Cow;
use std::fmt::Write as _;

const ESCAPE: char = '\u{1b}';
const COLOURS: [&str; 8] = ["black", "#c00", "#080", "#a60", "#22c", "#a0a", "#088", "#888"];
const BRIGHT: [&str; 8] = ["#555", "#f44", "#2a2", "#c80", "#55f", "#d4d", "#0aa", "#ccc"];

/// A part of a text: characters to show, or what a terminal is told.
enum Part<'a> {
    Text(&'a str),
    /// The numbers of a change of colours: `1;31`.
    Style(&'a str),
    Other,
}

struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let text = self.0;
        match text.find(ESCAPE) {
            None if text.is_empty() => None,
            None => {
                self.0 = "";
                Some(Part::Text(text))
            }
            Some(0) => {
                let (part, rest) = sequence(&text[1..]);
                self.0 = rest;
                Some(part)
            }
            Some(at) => {
                self.0 = &text[at..];
                Some(Part::Text(&text[..at]))
            }
        }
    }
}

/// The sequence that begins behind an escape, and the rest.
fn sequence(text: &str) -> (Part<'_>, &str) {
    match text.bytes().next() {
        Some(b'[') => {
            let end = text.bytes().skip(1).position(|byte| !(0x20..0x40).contains(&byte)).map(|at| at + 1);
            match end {
                Some(end) if text.as_bytes()[end] == b'm' => (Part::Style(&text[1..end]), &text[end + 1..]),
                // Anything that is no end of a sequence is text again.
                Some(end) if (0x40..0x7f).contains(&text.as_bytes()[end]) => (Part::Other, &text[end + 1..]),
                Some(end) => (Part::Other, &text[end..]),
                None => (Part::Other, ""),
            }
        }
        // A title or a link, up to BEL or ESC \.
        Some(b']') => {
            let end = text.find(['\u{7}', ESCAPE]);
            let rest = end.map_or("", |end| &text[end..]);
            (Part::Other, rest.strip_prefix('\u{7}').or_else(|| rest.strip_prefix("\u{1b}\\")).unwrap_or(rest))
        }
        Some(_) => (Part::Other, &text[text.chars().next().map_or(0, char::len_utf8)..]),
        None => (Part::Other, ""),
    }
}

/// The text without any of it.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return text.into();
    }
    let shown = Parts(text).filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
    shown.collect::<String>().into()
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    colour: Option<Cow<'static, str>>,
    background: Option<Cow<'static, str>>,
}

impl Style {
    fn apply(&mut self, numbers: &str) {
        let mut numbers = numbers.split([';', ':']).map(|number| number.parse().unwrap_or(0_u16));
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.colour = Some(COLOURS[usize::from(number - 30)].into()),
                38 => self.colour = extended(&mut numbers),
                39 => self.colour = None,
                40..=47 => self.background = Some(COLOURS[usize::from(number - 40)].into()),
                48 => self.background = extended(&mut numbers),
                49 => self.background = None,
                90..=97 => self.colour = Some(BRIGHT[usize::from(number - 90)].into()),
                100..=107 => self.background = Some(BRIGHT[usize::from(number - 100)].into()),
                _ => {}
            }
        }
    }

    fn css(&self) -> String {
        let mut css = String::new();
        for (is_set, rule) in [
            (self.bold, "font-weight:bold"),
            (self.dim, "opacity:.7"),
            (self.italic, "font-style:italic"),
            (self.underline, "text-decoration:underline"),
        ] {
            if is_set {
                let _ = write!(css, "{rule};");
            }
        }
        for (rule, colour) in [("color", &self.colour), ("background", &self.background)] {
            if let Some(colour) = colour {
                let _ = write!(css, "{rule}:{colour};");
            }
        }
        css
    }
}

/// One of 256 colours, or any.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<Cow<'static, str>> {
    match numbers.next()? {
        5 => {
            let number = numbers.next()?;
            Some(match number {
                0..8 => COLOURS[usize::from(number)].into(),
                8..16 => BRIGHT[usize::from(number - 8)].into(),
                16..232 => {
                    let level = |part: u16| if part == 0 { 0 } else { 55 + 40 * part };
                    let cube = number - 16;
                    format!("rgb({},{},{})", level(cube / 36), level(cube / 6 % 6), level(cube % 6)).into()
                }
                232..256 => {
                    let grey = 8 + 10 * (number - 232);
                    format!("rgb({grey},{grey},{grey})").into()
                }
                _ => return None,
            })
        }
        2 => {
            let (red, green, blue) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some(format!("rgb({},{},{})", red.min(255), green.min(255), blue.min(255)).into())
        }
        _ => None,
    }
}

/// The text as HTML; colours end with it.
pub(super) fn html(text: &str) -> String {
    let (mut html, mut style) = (String::with_capacity(text.len()), Style::default());
    for part in Parts(text) {
        match part {
            Part::Style(numbers) => style.apply(numbers),
            Part::Other => {}
            Part::Text(text) => {
                let css = style.css();
                if !css.is_empty() {
                    let _ = write!(html, "<span style=\"{css}\">");
                }
                for character in text.chars() {
                    match character {
                        '<' => html.push_str("&lt;"),
                        '>' => html.push_str("&gt;"),
                        '&' => html.push_str("&amp;"),
                        '"' => html.push_str("&quot;"),
                        '\'' => html.push_str("&#39;"),
                        other => html.push(other),
                    }
                }
                if !css.is_empty() {
                    html.push_str("</span>");
                }
            }
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_is_told_is_left() {
        for (text, shown) in [
            ("plain  text", "plain  text"),
            ("\u{1b}[1;31merror\u{1b}[0m: é", "error: é"),
            ("\u{1b}[2Kdone\u{1b}[1A", "done"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("cut \u{1b}[31", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{1b}(Bx\u{1b}é", "Bx"),
            ("\u{1b}[éx", "éx"),
        ] {
            assert_eq!(strip(text), shown, "{text:?}");
        }
    }

    #[test]
    fn colours_become_spans_and_text_cannot_become_markup() {
        assert_eq!(html("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
        assert_eq!(
            html("a\u{1b}[1;31m<x>\u{1b}[22mb\u{1b}[mc"),
            "a<span style=\"font-weight:bold;color:#c00;\">&lt;x&gt;</span><span style=\"color:#c00;\">b</span>c"
        );
        assert_eq!(html("\u{1b}[38;5;196mx"), "<span style=\"color:rgb(255,0,0);\">x</span>");
        assert_eq!(html("\u{1b}[48;2;1;2;999mx"), "<span style=\"background:rgb(1,2,255);\">x</span>");
        assert_eq!(html("\u{1b}[38;5mx\u{1b}[38;5;999mx"), "xx");
    }
}
