//! Why a chip refuses, in words.

use std::fmt;

/// Is the code with which a chip refuses a command (part 2, §6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// Returns the code without the number of the parameter, handle or session that it is about.
    fn kind(self) -> u32 {
        match self.0 & 0x80 {
            0 => self.0,
            _ => self.0 & 0xbf,
        }
    }

    /// Tells whether the same command may do a moment later: the chip is busy, tests itself, or may not write that often.
    pub fn is_passing(self) -> bool {
        matches!(self.0, 0x908 | 0x90a | 0x920 | 0x922 | 0x923)
    }

    /// Tells whether what was loaded is there no more: the chip was reset, or others took its place.
    pub fn is_lost(self) -> bool {
        // REFERENCE_H0 to H6 and S0 to S6, CONTEXT_GAP; HANDLE and VALUE of a handle or session, AUTH_FAIL of a session.
        let is_of_handle = self.0 & 0xc0 == 0x80;
        matches!(self.0, 0x901 | 0x910..=0x91e) || is_of_handle && matches!(self.kind(), 0x84 | 0x8b)
    }

    /// Tells whether what was given was made by another chip, by this one before it was cleared, or was changed: the chip
    /// finds fault with a parameter.
    pub fn is_foreign(self) -> bool {
        self.0 & 0xc0 == 0xc0
    }

    /// Tells whether there is no such index of non-volatile memory.
    pub fn is_no_index(self) -> bool {
        self.kind() == 0x8b
    }

    /// Tells whether there is such an index already.
    pub fn is_defined(self) -> bool {
        self.0 == 0x14c
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0x100 => {
                "it was not started (TPM2_Startup): the firmware of the machine does that, or swtpm with --flags startup-clear"
            }
            0x101 => {
                "it is in failure mode: its self-test failed; power-cycle the machine, and replace the chip if that does not help"
            }
            0x120 => "this command or hierarchy is disabled in it, as a rule by the firmware's setup",
            0x143 => "it does not know this command",
            0x902 => {
                "it has no room for another key: others hold theirs loaded; go through /dev/tpmrm0, which makes room, or end them \
                 (tpm2_flushcontext -t)"
            }
            0x903 | 0x905 => {
                "it has no room for another session: others hold theirs open; go through /dev/tpmrm0, or end them (tpm2_flushcontext -l -s)"
            }
            0x14b => {
                "its non-volatile memory is full; undefine an index that nobody needs (tpm2_getcap handles-nv-index, tpm2_nvundefine)"
            }
            0x921 => {
                "it is locked because wrong passwords were given to it; it opens by itself after a while, or by its owner \
                 (tpm2_dictionarylockout --clear-lockout). The keys of this store are not subject to that"
            }
            _ if self.is_passing() => "it is busy, and was so for too long",
            _ if matches!(self.kind(), 0x8e | 0xa2) => {
                "the hierarchy has a password; the store needs the one of its owner without one (tpm2_changeauth -c owner)"
            }
            _ if matches!(self.kind(), 0x85) => {
                "the hierarchy of its owner is disabled, as a rule by the firmware's setup"
            }
            _ => "it refused",
        };
        write!(f, "{words} (TPM code 0x{:x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_whatever_parameter_or_handle_they_are_about() {
        assert!(Code(0x922).is_passing() && !Code(0x921).is_passing());
        assert!(Code(0x921).to_string().contains("locked because wrong passwords"));
        assert!(Code(0x101).to_string().contains("failure mode"));
        assert!(Code(0x1df).is_foreign() && !Code(0x18b).is_foreign() && !Code(0x922).is_foreign());
        assert!(Code(0x18b).is_no_index() && Code(0x910).is_lost() && Code(0x18b).is_lost());
        assert!(
            Code(0x98e).to_string().contains("has a password") && Code(0x9a2).to_string().contains("0x9a2")
        );
    }
}
