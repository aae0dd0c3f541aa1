"""A plugin of SkyPilot's API server. It runs in SkyPilot's own interpreter and imports nothing of ours: these files are handed out."""
