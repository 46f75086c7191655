"""The names of the Atari 2600 games, known without importing ale-py, and their reference scores."""

_GAMES = """
adventure air_raid alien amidar assault asterix asteroids atlantis atlantis2 backgammon
bank_heist basic_math battle_zone beam_rider berzerk blackjack bowling boxing breakout
carnival casino centipede chopper_command crazy_climber crossbow darkchambers defender
demon_attack donkey_kong double_dunk earthworld elevator_action enduro entombed et
fishing_derby flag_capture freeway frogger frostbite galaxian gopher gravitar hangman
haunted_house hero human_cannonball ice_hockey jamesbond journey_escape kaboom kangaroo
keystone_kapers king_kong klax koolaid krull kung_fu_master laser_gates lost_luggage
mario_bros miniature_golf montezuma_revenge mr_do ms_pacman name_this_game othello pacman
phoenix pitfall pitfall2 pong pooyan private_eye qbert riverraid road_runner robotank
seaquest sir_lancelot skiing solaris space_invaders space_war star_gunner superman surround
tennis tetris tic_tac_toe_3d time_pilot trondead turmoil tutankham up_n_down venture
video_checkers video_chess video_cube video_pinball wizard_of_wor word_zapper yars_revenge
zaxxon
"""
# The ROMs that ale-py 0.12.1 ships, under its names, but for those of `TWO_PLAYERS`.
GAMES: tuple[str, ...] = tuple(_GAMES.split())

# ROMs that ale-py ships too, but can't play alone.
TWO_PLAYERS: tuple[str, ...] = ("combat", "joust", "maze_craze", "warlords")

# Scores of a random policy and of a professional human tester, by which scores are commonly
# normalised: `atari57_gamer` in baselines.yaml of danijar/dreamerv3 (commit e3f0224).
SCORES: dict[str, tuple[float, float]] = {
    "alien": (227.8, 7127.7),
    "amidar": (5.8, 1719.5),
    "assault": (222.4, 742.0),
    "asterix": (210.0, 8503.3),
    "asteroids": (719.1, 47388.7),
    "atlantis": (12850.0, 29028.1),
    "bank_heist": (14.2, 753.1),
    "battle_zone": (2360.0, 37187.5),
    "beam_rider": (363.9, 16926.5),
    "berzerk": (123.7, 2630.4),
    "bowling": (23.1, 160.7),
    "boxing": (0.1, 12.1),
    "breakout": (1.7, 30.5),
    "centipede": (2090.9, 12017.0),
    "chopper_command": (811.0, 7387.8),
    "crazy_climber": (10780.5, 35829.4),
    "defender": (2874.5, 18688.9),
    "demon_attack": (152.1, 1971.0),
    "double_dunk": (-18.6, -16.4),
    "enduro": (0.0, 860.5),
    "fishing_derby": (-91.7, -38.7),
    "freeway": (0.0, 29.6),
    "frostbite": (65.2, 4334.7),
    "gopher": (257.6, 2412.5),
    "gravitar": (173.0, 3351.4),
    "hero": (1027.0, 30826.4),
    "ice_hockey": (-11.2, 0.9),
    "jamesbond": (29.0, 302.8),
    "kangaroo": (52.0, 3035.0),
    "krull": (1598.0, 2665.5),
    "kung_fu_master": (258.5, 22736.3),
    "montezuma_revenge": (0.0, 4753.3),
    "ms_pacman": (307.3, 6951.6),
    "name_this_game": (2292.3, 8049.0),
    "phoenix": (761.4, 7242.6),
    "pitfall": (-229.4, 6463.7),
    "pong": (-20.7, 14.6),
    "private_eye": (24.9, 69571.3),
    "qbert": (163.9, 13455.0),
    "riverraid": (1338.5, 17118.0),
    "road_runner": (11.5, 7845.0),
    "robotank": (2.2, 11.9),
    "seaquest": (68.4, 42054.7),
    "skiing": (-17098.1, -4336.9),
    "solaris": (1236.3, 12326.7),
    "space_invaders": (148.0, 1668.7),
    "star_gunner": (664.0, 10250.0),
    "surround": (-10.0, 6.5),
    "tennis": (-23.8, -8.3),
    "time_pilot": (3568.0, 5229.2),
    "tutankham": (11.4, 167.6),
    "up_n_down": (533.4, 11693.2),
    "venture": (0.0, 1187.5),
    "video_pinball": (16256.9, 17667.9),
    "wizard_of_wor": (563.5, 4756.5),
    "yars_revenge": (3092.9, 54576.9),
    "zaxxon": (32.5, 9173.3),
}

# The benchmark of 57 games.
ATARI57: tuple[str, ...] = tuple(SCORES)

_ATARI26 = """
alien amidar assault asterix bank_heist battle_zone boxing breakout chopper_command
crazy_climber demon_attack freeway frostbite gopher hero jamesbond kangaroo krull
kung_fu_master ms_pacman pong private_eye qbert road_runner seaquest up_n_down
"""
# The 26 games on which agents are compared after 100,000 decisions (Kaiser et al. 2020).
ATARI26: tuple[str, ...] = tuple(_ATARI26.split())

# How an emulator goes back to a state: the values of the option `restore`.
RESTORES: tuple[str, ...] = ("state", "replay")

# What an environment shows: the values of the option `observation`.
OBSERVATIONS: tuple[str, ...] = ("ram", "pixels")

# The keys of a game's yaml, if it had one, with their defaults and what they mean.
OPTIONS: dict[str, tuple[float | int | bool | str | None, str]] = {
    "sticky": (0.25, "probability at each frame that the last action goes on; 0: deterministic"),
    "frame_skip": (4, "emulator frames per decision"),
    "full_action_space": (False, "all 18 actions, not only those that do something in this game"),
    "noop_max": (30, "an episode begins after so many frames without action, drawn from 0 to this"),
    "max_frames": (108000, "after which an episode is truncated; 108000 are 30 minutes"),
    "mode": (None, "the game's own number of a variant; null: its usual one"),
    "difficulty": (None, "position of the console's switches; null: the usual one, 0"),
    "screen": (False, "whether planners also get the screen, 34 kB a state"),
    "restore": ("state", "how to go back to a state: by ALE's own, or replay: from the start"),
    "observation": (None, "ram or pixels; null: pixels where something learns, else ram"),
}
