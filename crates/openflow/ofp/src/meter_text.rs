//! Meters as users write them: `meter=1 pktps burst bands=type=drop rate=1 burst_size=1`.

use fields::{TextError, refuse};

use crate::text::{u8_of, u32_of};
use crate::*;

const DROP: u16 = 1;
const DSCP_REMARK: u16 = 2;

/// Reads a request to add or change a meter.
pub fn parse_meter_mod(text: &str, command: MeterCommand) -> Result<MeterMod, TextError> {
    let config = parse_meter_config(text)?;
    if config.flags == 0 {
        return refuse!("meter must specify either 'kbps' or 'pktps'");
    }
    check_bands(&config)?;
    Ok(MeterMod { command, config })
}

/// Reads a meter as [`put_meter_config`] writes it, whatever a controller may have put into it.
pub fn parse_meter_config(text: &str) -> Result<MeterConfig, TextError> {
    let missing = || TextError("must specify bands".to_owned());
    let at = text.find("band").ok_or_else(missing)?;
    let equals = text[at + 1..].find('=').ok_or_else(missing)? + at + 1;
    let (head, bands) = (&text[..at], &text[equals + 1..]);
    let mut config = MeterConfig { meter: parse_head(head, None)?, flags: 0, bands: Vec::new() };
    config.flags = parse_flags(head);
    config.bands = parse_bands(bands)?;
    Ok(config)
}

/// Reads which meter a request is about: `meter=3`.
pub fn parse_meter_id(text: &str) -> Result<u32, TextError> {
    parse_head(text, Some(()))
}

const FLAGS: [(&str, u16); 4] = [
    ("kbps", meter_flag::KBPS),
    ("pktps", meter_flag::PKTPS),
    ("burst", meter_flag::BURST),
    ("stats", meter_flag::STATS),
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['=', ',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty())
}

fn parse_flags(text: &str) -> u16 {
    let flag = |word: &str| FLAGS.iter().find(|(name, _)| *name == word).map_or(0, |(_, flag)| *flag);
    words(text).fold(0, |flags, word| flags | flag(word))
}

/// The meter's number, before the bands. Without `no_flags` there may be flags.
fn parse_head(text: &str, no_flags: Option<()>) -> Result<u32, TextError> {
    let mut meter = 0;
    let mut rest = words(text);
    while let Some(name) = rest.next() {
        if no_flags.is_none() && FLAGS.iter().any(|(flag, _)| *flag == name) {
            continue;
        }
        let Some(value) = rest.next() else { return refuse!("field {name} missing value") };
        if name != "meter" {
            return refuse!("unknown keyword {name}");
        }
        meter = match value {
            "all" => meter_id::ALL,
            "controller" => meter_id::CONTROLLER,
            "slowpath" => meter_id::SLOWPATH,
            number => match u32_of(number)? {
                id @ 1..=meter_id::MAX => id,
                _ => return refuse!("invalid value for {name}"),
            },
        };
    }
    if meter == 0 {
        return refuse!("must specify 'meter'");
    }
    Ok(meter)
}

fn parse_bands(text: &str) -> Result<Vec<MeterBand>, TextError> {
    let mut bands: Vec<MeterBand> = Vec::new();
    let mut rest = words(text);
    while let Some(name) = rest.next() {
        let Some(value) = rest.next() else { return refuse!("field {name} missing value") };
        if name == "type" {
            let kind = match value {
                "drop" => DROP,
                "dscp_remark" => DSCP_REMARK,
                _ => return refuse!("field {name} unknown value {value}"),
            };
            bands.push(MeterBand { kind, rate: 0, burst_size: 0, prec_level: 0 });
            continue;
        }
        let Some(band) = bands.last_mut() else {
            return refuse!("band must start with the 'type' keyword");
        };
        match name {
            "rate" => band.rate = u32_of(value)?,
            "burst_size" => band.burst_size = u32_of(value)?,
            "prec_level" => band.prec_level = u8_of(value, name)?,
            _ => return refuse!("unknown keyword {name}"),
        }
    }
    Ok(bands)
}

fn check_bands(config: &MeterConfig) -> Result<(), TextError> {
    if config.bands.is_empty() {
        return refuse!("meter must have bands");
    }
    let has_burst = config.flags & meter_flag::BURST != 0;
    for band in &config.bands {
        match (band.kind, band.prec_level) {
            (DSCP_REMARK, 0) => return refuse!("'dscp_remark' band must have 'prec_level'"),
            (DROP, 1..) => return refuse!("Only 'dscp_remark' band may have 'prec_level'"),
            _ => {}
        }
        if band.rate == 0 {
            return refuse!("band must have 'rate'");
        }
        match (has_burst, band.burst_size) {
            (true, 0) => return refuse!("band must have 'burst_size' when 'burst' flag is set"),
            (false, 1..) => return refuse!("band may have 'burst_size' only when 'burst' flag is set"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_has_a_number_flags_and_bands() {
        let text = "meter=controller pktps burst stats bands=type=drop rate=1 burst_size=2";
        let request = parse_meter_mod(text, MeterCommand::Add).unwrap();
        assert_eq!(request.config.meter, meter_id::CONTROLLER);
        assert_eq!(request.config.flags, meter_flag::PKTPS | meter_flag::BURST | meter_flag::STATS);
        assert_eq!(request.config.bands, [MeterBand { kind: DROP, rate: 1, burst_size: 2, prec_level: 0 }]);
    }

    #[test]
    fn mistakes_are_reported() {
        let text = |text| parse_meter_mod(text, MeterCommand::Add).unwrap_err().0;
        assert_eq!(text("meter=1 kbps"), "must specify bands");
        assert_eq!(text("meter=1 bands=type=drop rate=1"), "meter must specify either 'kbps' or 'pktps'");
        assert_eq!(text("kbps bands=type=drop rate=1"), "must specify 'meter'");
        assert_eq!(
            text("meter=1 kbps bands=type=drop rate=1 burst_size=1"),
            "band may have 'burst_size' only when 'burst' flag is set"
        );
    }
}
