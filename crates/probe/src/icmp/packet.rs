//! Echo requests as bytes, and what may come back. Pure.

/// Bytes of an ICMP header.
const HEADER_BYTES: usize = 8;
/// The payload begins with the token that tells a true answer from a late or forged one.
pub(crate) const TOKEN_BYTES: usize = 8;

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Names a probe on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) identifier: u16,
    pub(crate) sequence: u16,
    pub(crate) token: u64,
}

/// What a packet says about a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answered,
    /// Some router, or the host itself, said that it cannot be reached, and why.
    Unreachable(&'static str),
}

impl Family {
    fn request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    fn reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }

    fn unreachable(self, kind: u8, code: u8) -> Option<&'static str> {
        match (self, kind, code) {
            (Self::V4, 3, 0) | (Self::V6, 1, 0) => Some("the network is unreachable"),
            (Self::V4, 3, 1) | (Self::V6, 1, 3) => Some("the host is unreachable"),
            (Self::V4, 3, 9 | 10 | 13) | (Self::V6, 1, 1) => Some("a router forbids it"),
            (Self::V4, 3, 4) | (Self::V6, 2, _) => Some("the packet is too big for the way"),
            (Self::V4, 3, _) | (Self::V6, 1, _) => Some("the host cannot be reached"),
            (Self::V4, 11, _) | (Self::V6, 3, _) => Some("the packet went through too many routers"),
            _ => None,
        }
    }

    /// Where the ICMP part of the packet that an error quotes begins.
    fn quoted(self, packet: &[u8]) -> Option<&[u8]> {
        match self {
            Self::V4 => without_ip_header(packet),
            Self::V6 => packet.get(40..),
        }
    }
}

/// The part of an IPv4 packet after its header.
pub(crate) fn without_ip_header(packet: &[u8]) -> Option<&[u8]> {
    let words = usize::from(packet.first()? & 0x0f);
    packet.get(words * 4..)
}

/// The request, with `size` bytes of payload, at least [`TOKEN_BYTES`].
pub(crate) fn request(family: Family, echo: Echo, size: usize) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_BYTES + size);
    packet.extend([family.request(), 0, 0, 0]);
    packet.extend(echo.identifier.to_be_bytes());
    packet.extend(echo.sequence.to_be_bytes());
    packet.extend(echo.token.to_be_bytes());
    packet.extend((TOKEN_BYTES..size).map(|at| at as u8));
    if family == Family::V4 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    // The kernel puts in the sum of ICMPv6, which covers addresses only it knows.
    packet
}

/// What an ICMP message says about which probe; nothing where it is about no probe.
pub(crate) fn read(family: Family, message: &[u8]) -> Option<(Echo, Verdict)> {
    let (&kind, &code) = (message.first()?, message.get(1)?);
    if kind == family.reply() {
        return Some((echo(message)?, Verdict::Answered));
    }
    let why = family.unreachable(kind, code)?;
    let quoted = family.quoted(message.get(HEADER_BYTES..)?)?;
    let is_request = quoted.first() == Some(&family.request());
    is_request.then(|| echo(quoted))?.map(|echo| (echo, Verdict::Unreachable(why)))
}

fn echo(message: &[u8]) -> Option<Echo> {
    Some(Echo {
        identifier: u16::from_be_bytes(message.get(4..6)?.try_into().ok()?),
        sequence: u16::from_be_bytes(message.get(6..8)?.try_into().ok()?),
        token: u64::from_be_bytes(message.get(HEADER_BYTES..HEADER_BYTES + TOKEN_BYTES)?.try_into().ok()?),
    })
}

fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo = Echo { identifier: 0x1234, sequence: 7, token: 0x0102_0304_0506_0708 };

    fn reply(family: Family) -> Vec<u8> {
        let mut message = request(family, ECHO, 56);
        message[0] = family.reply();
        message
    }

    #[test]
    fn a_request_sums_to_nothing_and_its_reply_names_it() {
        for size in [8, 9, 56, 65_507] {
            let packet = request(Family::V4, ECHO, size);
            assert_eq!((packet.len(), checksum(&packet)), (HEADER_BYTES + size, 0));
        }
        for family in [Family::V4, Family::V6] {
            assert_eq!(read(family, &reply(family)), Some((ECHO, Verdict::Answered)));
            assert_eq!(read(family, &request(family, ECHO, 56)), None, "our own request, as loopback shows it");
        }
    }

    #[test]
    fn an_error_names_the_request_it_quotes() {
        let mut v4 = vec![3, 1, 0, 0, 0, 0, 0, 0, 0x46];
        v4.extend([0; 23]);
        v4.extend(request(Family::V4, ECHO, 56));
        assert_eq!(read(Family::V4, &v4), Some((ECHO, Verdict::Unreachable("the host is unreachable"))));
        let mut v6 = vec![1, 0, 0, 0, 0, 0, 0, 0];
        v6.extend([0; 40]);
        v6.extend(request(Family::V6, ECHO, 56));
        assert_eq!(read(Family::V6, &v6), Some((ECHO, Verdict::Unreachable("the network is unreachable"))));
        let mut of_a_reply = vec![3, 1, 0, 0, 0, 0, 0, 0, 0x45];
        of_a_reply.extend([0; 19]);
        of_a_reply.extend(reply(Family::V4));
        assert_eq!(read(Family::V4, &of_a_reply), None);
    }

    #[test]
    fn a_cut_or_foreign_packet_is_nothing() {
        for family in [Family::V4, Family::V6] {
            let whole = reply(family);
            for length in 0..HEADER_BYTES + TOKEN_BYTES {
                assert_eq!(read(family, &whole[..length]), None);
            }
            for kind in 0..=u8::MAX {
                let short = [kind, 0, 0, 0, 0, 0, 0, 0, 0x4f, 0, 0];
                assert_eq!(read(family, &short), None);
            }
        }
        assert_eq!(without_ip_header(&[0x4f, 0]), None);
    }
}
