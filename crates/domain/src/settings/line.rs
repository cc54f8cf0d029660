//! One line for what comes in several: messages of an argument parser, and entries of a log.

/// Joins the lines of an argument parser's message into one, without the usage that follows them.
pub fn join_lines(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let mut whole = String::new();
    for line in lines {
        let line = line.trim_start_matches("error: ");
        let between = match (whole.as_str(), line) {
            ("", _) => "",
            (_, tip) if tip.starts_with("tip: ") => "; ",
            (before, line) if before.ends_with(':') || line.starts_with('[') => " ",
            _ => ", ",
        };
        whole.push_str(between);
        whole.push_str(line.trim_start_matches("tip: "));
    }
    whole
}

/// Escapes what an entry of the log quotes, so that it is one line: line feeds could forge further entries.
pub fn escape_line(entry: &str) -> String {
    let mut line = String::with_capacity(entry.len());
    for character in entry.trim_end_matches('\n').chars() {
        if character.is_control() && character != '\t' {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_joined_without_its_usage() {
        let message =
            "error: unexpected argument '--lst' found\n\n  tip: a similar argument exists: '--list'\n\nUsage: x\n";
        assert_eq!(join_lines(message), "unexpected argument '--lst' found; a similar argument exists: '--list'");
        let message = "error: wanted:\n  <A>\n  <B>\n\nFor more information, try '--help'.\n";
        assert_eq!(join_lines(message), "wanted: <A>, <B>");
    }

    #[test]
    fn an_entry_is_one_line_whatever_it_quotes() {
        assert_eq!(escape_line("it failed\nERROR forged\n"), "it failed\\nERROR forged\n");
        assert_eq!(escape_line("first\r\n\tthird \u{9b}31m ü"), "first\\r\\n\tthird \\u{9b}31m ü\n");
    }
}
