//! The style of each implementation, the same in all pictures. The colours are from the palettes of
//! Okabe and Ito and of Paul Tol, which suit colour-blind readers.

use plotters::style::RGBColor;

use crate::analysis::OURS;

/// The style of an implementation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub color: RGBColor,
    /// Set for variants, which share the colour of their base.
    pub dashed: bool,
    pub ours: bool,
}

/// The colour of unlisted implementations.
const UNKNOWN: RGBColor = RGBColor(0x77, 0x77, 0x77);

pub fn look(implementation: &str) -> Look {
    let (name, release) = match implementation.strip_suffix("-release") {
        Some(name) => (name, true),
        None => (implementation, false),
    };
    let variant = ["-hinted", "-direct", "-framed"].into_iter();
    let (base, dashed) = match variant
        .filter_map(|suffix| name.strip_suffix(suffix))
        .next()
    {
        Some(base) => (base, true),
        None => (name, false),
    };
    let color = match base {
        OURS => RGBColor(0xd5, 0x5e, 0x00),
        "go" => RGBColor(0x00, 0x72, 0xb2),
        "tonic" => RGBColor(0x00, 0x9e, 0x73),
        "connectrpc" => RGBColor(0x33, 0x22, 0x88),
        "grpc-rs" => RGBColor(0xdd, 0xcc, 0x77),
        "cpp-sync" => RGBColor(0xcc, 0x79, 0xa7),
        "cpp-callback" => RGBColor(0xe6, 0x9f, 0x00),
        "ccore" => RGBColor(0x56, 0xb4, 0xe9),
        "java" => RGBColor(0xaa, 0x44, 0x99),
        "naive" => RGBColor(0x99, 0x99, 0x33),
        "python" => RGBColor(0x88, 0x22, 0x55),
        "node" => RGBColor(0x66, 0x66, 0xaa),
        _ => UNKNOWN,
    };
    let darker = |channel: u8| (f64::from(channel) * 0.7) as u8;
    Look {
        // Programs of scripts/release are darker than those of the everyday build.
        color: match release {
            true => RGBColor(darker(color.0), darker(color.1), darker(color.2)),
            false => color,
        },
        dashed,
        ours: implementation == OURS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_implementation_look_alike() {
        let names = [
            OURS,
            "fanstream-release",
            "fanstream-direct",
            "ccore-release",
            "ccore-framed",
            "ccore-framed-release",
            "naive",
            "ccore",
            "cpp-sync",
            "cpp-sync-hinted",
            "cpp-callback",
            "cpp-callback-hinted",
            "tonic",
            "connectrpc",
            "grpc-rs",
            "go",
            "java",
            "python",
            "node",
        ];
        for (n, one) in names.iter().enumerate() {
            for other in &names[..n] {
                assert_ne!(look(one), look(other), "{one} and {other}");
            }
        }
    }
}
