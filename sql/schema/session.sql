-- what every session sets: instants are shown, and cut into days, in UTC
set TimeZone = 'UTC'
