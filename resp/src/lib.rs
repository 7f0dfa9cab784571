//! RESP.
