"""Sign-up, sign-in, refresh, user and sign-out at /auth/v1/..., in GoTrue's shapes.

The rules are in the database (db/functions/accounts and sessions); here are hashing, tokens and the
wire format, as supabase/auth serves it and auth-js reads it.
"""
