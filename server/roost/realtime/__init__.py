"""The relay: live events over WebSockets, in the protocol of Phoenix channels and Supabase."""
