//! Which versions and ciphers of TLS are used: the settings of the reference, whose words are OpenSSL's.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion, version};
use std::sync::Arc;

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("TLSv1.2", &version::TLS12), ("TLSv1.3", &version::TLS13)];

/// The versions that `A,B`, `A-B` or `A+` names; all of them where that cannot be read.
pub(super) fn versions(setting: Option<&str>) -> Vec<&'static SupportedProtocolVersion> {
    let all = || VERSIONS.iter().map(|(_, version)| *version).collect();
    let Some(setting) = setting else { return all() };
    let or_later = setting.strip_suffix('+');
    let names: Vec<&str> = match (or_later, setting.split_once('-')) {
        (Some(name), _) => vec![name],
        (None, Some((from, to))) => vec![from, to],
        (None, None) => setting.split([' ', ',', '\t']).filter(|name| !name.is_empty()).collect(),
    };
    if names.is_empty() {
        log::error!(target: "stream_ssl", "SSL/TLS protocol settings invalid");
        return all();
    }
    let mut chosen = Vec::new();
    for name in names {
        match VERSIONS.iter().position(|(known, _)| *known == name) {
            Some(at) => chosen.push(at),
            None => {
                log::error!(target: "stream_ssl", "{name}: SSL/TLS protocol not recognized");
                return all();
            }
        }
    }
    let first = chosen.iter().copied().min().unwrap_or(0);
    let last = if or_later.is_some() { VERSIONS.len() - 1 } else { chosen.into_iter().max().unwrap_or(0) };
    let range = VERSIONS.get(first..=last).unwrap_or_default();
    if let (Some((first, _)), Some((last, _))) = (range.first(), range.last()) {
        let to = if or_later.is_some() { " or later".to_owned() } else { format!(" - {last}") };
        log::debug!(target: "stream_ssl", "Enabled protocol range: {first}{to}");
    }
    range.iter().map(|(_, version)| *version).collect()
}

/// OpenSSL's name of a suite.
fn name(suite: SupportedCipherSuite) -> &'static str {
    match suite.suite() {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

/// Whether a word of a cipher list means a suite: a name, a group, or properties joined by "+".
fn means(word: &str, suite: &str) -> bool {
    let has = |property: &str| match property {
        "DEFAULT" | "ALL" | "HIGH" | "COMPLEMENTOFDEFAULT" | "TLSv1.2" | "AEAD" => true,
        "AESGCM" => suite.contains("AES") && suite.contains("GCM"),
        "AES" | "AES128" | "AES256" | "CHACHA20" | "ECDSA" | "SHA256" | "SHA384" => suite.contains(property),
        "kECDHE" | "kEECDH" | "ECDHE" | "EECDH" | "ECDH" => suite.starts_with("ECDHE"),
        "RSA" | "aRSA" => suite.contains("-RSA-"),
        "aECDSA" => suite.contains("-ECDSA-"),
        name => name == suite,
    };
    word.split('+').all(has)
}

/// The suites up to TLS 1.2 that an OpenSSL cipher list leaves.
fn listed(list: &str, suites: &[SupportedCipherSuite]) -> Vec<SupportedCipherSuite> {
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut banned: Vec<&str> = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty() && !word.starts_with('@')) {
        if let Some(out) = word.strip_prefix('!') {
            banned.push(out);
            chosen.retain(|suite| !means(out, name(*suite)));
        } else if let Some(out) = word.strip_prefix('-') {
            chosen.retain(|suite| !means(out, name(*suite)));
        } else if !word.starts_with('+') {
            let new = suites.iter().filter(|suite| {
                means(word, name(**suite)) && !banned.iter().any(|out| means(out, name(**suite)))
            });
            let new: Vec<_> = new.filter(|suite| !chosen.contains(suite)).copied().collect();
            chosen.extend(new);
        }
    }
    chosen
}

/// The cryptography with the suites that the two settings leave.
pub(super) fn provider(ciphers: Option<&str>, ciphersuites: Option<&str>) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let (mut new, mut old): (Vec<_>, Vec<_>) =
        provider.cipher_suites.into_iter().partition(|suite| suite.version() == &version::TLS13);
    if let Some(list) = ciphers {
        let chosen = listed(list, &old);
        if chosen.is_empty() {
            log::error!(target: "stream_ssl", "SSL_CTX_set_cipher_list: no cipher match");
        } else {
            old = chosen;
        }
    }
    if let Some(list) = ciphersuites {
        let wanted = |word: &str| new.iter().copied().find(|suite| name(*suite) == word);
        let chosen: Vec<_> = list.split(':').filter_map(wanted).collect();
        if chosen.is_empty() {
            log::error!(target: "stream_ssl", "SSL_CTX_set_ciphersuites: no cipher match");
        } else {
            new = chosen;
        }
    }
    new.extend(old);
    provider.cipher_suites = new;
    Arc::new(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ciphers: Option<&str>, ciphersuites: Option<&str>) -> Vec<&'static str> {
        provider(ciphers, ciphersuites).cipher_suites.iter().map(|suite| name(*suite)).collect()
    }

    #[test]
    fn cipher_lists_add_and_ban() {
        let all = names(None, None);
        assert_eq!(all.len(), 9);
        let list = names(Some("DEFAULT:@SECLEVEL=2:!ECDHE-ECDSA-AES256-GCM-SHA384"), None);
        assert_eq!(list.len(), 8);
        assert!(!list.contains(&"ECDHE-ECDSA-AES256-GCM-SHA384"));
        assert_eq!(names(Some("ECDHE+AESGCM:!aNULL"), Some("TLS_AES_128_GCM_SHA256")).len(), 5);
        // What cannot be read leaves all as it is.
        assert_eq!(names(Some("nonsense"), Some("nonsense")), all);
    }

    #[test]
    fn versions_are_lists_or_ranges() {
        for (setting, n) in [("TLSv1.2", 1), ("TLSv1.3,TLSv1.2", 2), ("TLSv1.2+", 2), ("TLSv1.3+", 1)] {
            assert_eq!(versions(Some(setting)).len(), n, "{setting}");
        }
        assert_eq!(versions(Some("TLSv1.3-TLSv1.2")).len(), 2);
        assert_eq!(versions(Some("SSLv3")).len(), 2);
        assert_eq!(versions(Some("TLSv1.2-TLSv1.3,TLSv1.3+")).len(), 2);
        assert_eq!(versions(Some("")).len(), 2);
    }
}
