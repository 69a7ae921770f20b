//! Asks a CRM for what its webhook left out.
