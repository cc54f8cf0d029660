//! Values of settings as they are written. An error is read behind the setting's name and value, as in
//! `lease is "60": not a time, …`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

/// The levels of log lines, and `off`.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Reads a log filter: a level, and `module=level` for single modules, separated by commas.
///
/// A word that is no level would be read as the name of a module, and silence all others.
pub fn parse_log(text: &str) -> Result<String, String> {
    let is_directive = |directive: &str| {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    };
    let wanted = "not a log level, wanted error, warn, info, debug, trace or off, or such levels for modules: \
                  info,pinrail_http=debug";
    if text.split(',').all(is_directive) { Ok(text.to_owned()) } else { Err(wanted.to_owned()) }
}

/// Reads a time such as `90s`.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "not a time, wanted one such as 90s, 5m or 24h".to_owned())
}

/// Reads a size such as `32GiB`, in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "not a size, wanted one such as 500MiB or 32GiB")?;
    Ok(size.as_u64())
}

/// Reads a rate such as `200/1000`: 200 a second in the long run, 1,000 at once after a rest.
pub fn parse_rate(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    let rate = text.split_once('/').and_then(|(per_second, burst)| Some((number(per_second)?, number(burst)?)));
    rate.ok_or_else(|| "not a rate, wanted one such as 200/1000: 200 a second, 1000 at once".to_owned())
}

/// Reads a network such as `203.0.113.0/24`; a single address is one too.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "not a network, wanted one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7".to_owned())
}

/// Returns a reader of numbers in `range`.
pub fn parse_number<T: TryFrom<u32>>(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse::<i64>();
        let number = number.map_err(|_| format!("not a number, wanted {} to {}", range.start(), range.end()))?;
        let within = u32::try_from(number).ok().filter(|number| range.contains(number));
        within.and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("{number} is not in {range:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_filter_names_levels() {
        for right in ["info", "WARN", "off", "info,pinrail_http=debug", "error,libp2p_swarm=warn,hyper=off"] {
            assert_eq!(parse_log(right), Ok(right.to_owned()));
        }
        for wrong in ["verbose", "", "info,verbose", "pinrail_http=loud", "pinrail_http", "info,"] {
            assert!(parse_log(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0", "*"] {
            let why = parse_network(text).expect_err(text);
            assert!(why.contains("wanted one such as 10.0.0.0/8"), "{why}");
        }
    }

    #[test]
    fn a_number_is_within_its_range() {
        let parse = parse_number::<u16>(1..=100_000);
        assert_eq!((parse("1"), parse("65535")), (Ok(1), Ok(65_535)));
        assert_eq!(parse("-1"), Err("-1 is not in 1..=100000".to_owned()));
        assert!(parse("65536").is_err(), "it does not fit");
        assert_eq!(parse("many"), Err("not a number, wanted 1 to 100000".to_owned()));
    }
}
