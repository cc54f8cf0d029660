//! What of a database's URL may be shown: who and where, and nothing that may be a password.

/// The URL as it may be shown: who and where, without its parameters, and without anything that may be a password,
/// also of one whose characters should have been escaped, or that stands where none is looked for.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.chars().all(is_plain)) else {
        return match url.find([':', '@', '?', '=']) {
            Some(at) if at + 1 < url.len() => format!("{}…", &url[..=at]),
            _ => url.to_owned(),
        };
    };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if parameters.contains('@') && place.contains(':') {
        // Perhaps the password goes on behind the question mark.
        return format!("{scheme}://…");
    }
    let Some((user, place)) = place.split_once('@') else { return format!("{scheme}://{}", known_place(place)) };
    let user = Some(user.split(':').next().unwrap_or_default()).filter(|user| user.chars().all(is_plain));
    // With a further `@` nobody can tell which one ends the password: what is no place for certain is not shown.
    format!("{scheme}://{}@{}", user.unwrap_or("…"), known_place(place))
}

/// Hosts and a database, if they are such for certain.
fn known_place(place: &str) -> &str {
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    let is_name = database.chars().all(|letter| is_plain(letter) || letter == '%');
    if is_name && hosts.split(',').all(is_host) { place } else { "…" }
}

/// Whether it is a host, with a port or without: behind the colon of a user there is a password.
fn is_host(text: &str) -> bool {
    let (name, port) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((text, ""));
    let is_address = name.starts_with('[') && name.ends_with(']');
    let is_letter = |letter| is_plain(letter) || letter == '%' || (is_address && "[:]".contains(letter));
    name.chars().all(is_letter) && port.bytes().all(|digit| digit.is_ascii_digit())
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || "-_.~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;

    #[test]
    fn what_is_shown_is_enough_to_know_it_by() {
        for (url, shown) in [
            ("postgres://ada:s3cret@db.example:5433/pinrail?password=s3cret", "postgres://ada@db.example:5433/pinrail"),
            ("postgres://db.example:5433/pin-rail_2", "postgres://db.example:5433/pin-rail_2"),
            ("postgres://ada@[::1]:5433/pinrail?sslmode=disable", "postgres://ada@[::1]:5433/pinrail"),
            ("postgres://ada@a.example,b.example:1/pinrail", "postgres://ada@a.example,b.example:1/pinrail"),
            ("postgres://pinrail@%2Fvar%2Frun/pinrail", "postgres://pinrail@%2Fvar%2Frun/pinrail"),
            ("mysql://x/y", "mysql://x/y"),
            ("pinrail.db", "pinrail.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for password in [
            "s3c",
            "s3c?ret",
            "s3c/ret",
            "s3c#ret",
            "s3c@ret",
            "s3c ret",
            "s3c%ret",
            "s3c%40ret",
            "s3c:ret",
            "s3@c?ret",
            "s3?c@ret",
            "12?ret&x=y",
            "?ret",
            "s3?ret=1&sslmode=ret",
            "s3&ret",
            "s3=ret",
            "12/s3@ret?s3",
        ] {
            let mut urls = vec![
                format!("postgres://ada:{password}@db.example/pinrail"),
                format!("postgres://ada:{password}@db.example/pinrail?password={password}"),
                format!("postgres://ada@db.example/pinrail?password={password}"),
                format!("postgres://ada@db.example/pinrail?password={password}&sslmode=require"),
                format!("postgres://ada@db.example/pinrail;password={password}"),
                format!("postgres://ada@db.example/pinrail password={password}"),
                format!("postgres:ada:{password}@db.example/pinrail"),
                format!("postgres//ada:{password}@db.example/pinrail"),
                format!("host=db.example user=ada password={password}"),
            ];
            // Without a host, what follows the last `@` is one by all rules.
            if !password.contains('@') {
                urls.push(format!("postgres://ada:{password}"));
                urls.push(format!("postgres://ada:{password}/pinrail"));
            }
            for url in urls {
                let told = format!("{} {:?}", without_password(&url), Address::parse(&url).map(|read| read.shown));
                assert!(!told.contains("s3") && !told.contains("ret"), "{url} is told as {told}");
            }
        }
    }
}
