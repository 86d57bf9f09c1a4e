//! The head of an answer to COM_STMT_PREPARE, whose number of the statement is replaced by the
//! session's own.
//!
//! Not here: the definitions behind it ([`super::reply`] passes them).

use super::{WireError, fields::Fields};

/// The head of an answer to COM_STMT_PREPARE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The server's number of the statement.
    pub statement: u32,
    /// Columns of its result.
    pub columns: u16,
    /// Parameters.
    pub parameters: u16,
    /// Warnings.
    pub warnings: u16,
}

impl Prepared {
    pub(super) fn read(payload: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(payload, "the answer to COM_STMT_PREPARE");
        fields.u8()?;
        let statement = fields.u32()?;
        let columns = fields.u16()?;
        let parameters = fields.u16()?;
        fields.u8()?;
        // Both servers send it since 4.1; older ones did not.
        let warnings = fields.u16().unwrap_or(0);
        Ok(Self {
            statement,
            columns,
            parameters,
            warnings,
        })
    }

    /// Appends the payload: under a number of the caller's, usually.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&self.statement.to_le_bytes());
        out.extend_from_slice(&self.columns.to_le_bytes());
        out.extend_from_slice(&self.parameters.to_le_bytes());
        out.push(0);
        out.extend_from_slice(&self.warnings.to_le_bytes());
    }
}
