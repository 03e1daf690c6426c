"""Signing in: one door for passwords, passkeys and single sign-on, throttled, with the second factor behind it."""
