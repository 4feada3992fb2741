"""Everyday words by the radical that a scribe could give them: a heron is a kind of bird, so 鳥.

A character's own definition is one way to name it, and there are few. What its radical means has
many kinds: WordNet knows 131 usual words for birds. A denoiser that meets them in training can hear
"flamingo" as it does "heron", though no definition has the former.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path

from conditioning.distillation.corpus import WORDNET, load_corpus, load_senses, load_synsets
from conditioning.sources.tables import KINDS

# The meanings of WordNet whose kinds are written with a radical, as word, part of speech and sense.
# What lies below two of them belongs to the nearer one: a horse is a beast, and written as a horse.
_ROOTS = """\
15 ice.n.01 coldness.n.03 freeze.v.02
18 knife.n.01 edge_tool.n.01 cut.v.01
19 effort.n.02
30 mouth.n.01 eat.v.01 drink.v.01 utter.v.02 cry.n.01
32 soil.n.02 clay.n.01 geological_formation.n.01 land.n.04
38 female.n.02 mother.n.01 wife.n.01 sister.n.01 daughter.n.01
39 child.n.01 child.n.02
40 house.n.01 building.n.01 room.n.01
44 corpse.n.01
46 mountain.n.01 hill.n.01
50 flag.n.01 headdress.n.01
57 bow.n.04 arrow.n.02
61 feeling.n.01 emotion.n.01 temperament.n.01 feel.v.01 think.v.03 fear.v.01
62 military_action.n.01
63 door.n.01
64 hand.n.01 touch.v.01 hold.v.02 hit.v.03 throw.v.01 pull.v.01 push.v.01
72 sun.n.01 day.n.01 time_period.n.01 light.n.01
75 tree.n.01 wood.n.01 furniture.n.01 edible_fruit.n.01 board.n.02
78 death.n.01 die.v.01 kill.v.01
82 fur.n.01
85 body_of_water.n.01 liquid.n.01 water.n.01 wash.v.01 swim.v.01 flow.v.02 wet.v.01 pour.v.01
86 fire.n.01 fire.n.03 burn.v.01 heat.n.01 cook.v.03 explosive.n.01 lamp.n.01
93 cattle.n.01 bovine.n.01
94 dog.n.01 carnivore.n.01 primate.n.02 placental.n.01
96 gem.n.02 jewelry.n.01 adornment.n.01
98 pottery.n.01 ceramic.n.01
102 field.n.01 farm.n.01
104 illness.n.01 disease.n.01 symptom.n.01 injury.n.01 pain.n.01 disorder.n.01
107 skin.n.01
108 crockery.n.01 vessel.n.03
109 eye.n.01 look.v.01 sight.n.03 optical_device.n.01
112 rock.n.01 mineral.n.01 stone.n.02
113 deity.n.01 religious_ceremony.n.01 prayer.n.01
115 cereal.n.01 grain.n.08
116 cave.n.01
118 bamboo.n.01 bamboo.n.02 basket.n.01 wind_instrument.n.01
119 rice.n.01 flour.n.01 pasta.n.02
120 thread.n.01 fabric.n.01 rope.n.01 cord.n.01 sew.v.01 tie.v.01 chromatic_color.n.01
122 net.n.05
123 sheep.n.01 goat.n.01
124 feather.n.01 wing.n.01
128 ear.n.01 hear.v.01 listen.v.01
130 body_part.n.01 meat.n.01
137 boat.n.01 ship.n.01 vessel.n.02
140 herb.n.01 flower.n.01 vegetable.n.01 vegetable.n.02 weed.n.01 shrub.n.01 vascular_plant.n.01
140 algae.n.01
142 insect.n.01 arthropod.n.01 reptile.n.01 amphibian.n.03 worm.n.01 mollusk.n.01
145 garment.n.01 clothing.n.01
147 see.v.01
149 speech_act.n.01 talk.v.01 talk.v.02 state.v.01 language.n.01 speech.n.02
151 legume.n.03 bean.n.01
152 swine.n.01
154 money.n.01 payment.n.01 cost.n.01 buy.v.01 sell.v.01 possession.n.02
157 walk.v.01 run.v.01 jump.v.01 kick.v.04 foot.n.01 leg.n.01 dance.v.02 dance.v.01
159 vehicle.n.01 wheeled_vehicle.n.01
162 travel.v.01 road.n.01 journey.n.01
163 city.n.01 town.n.01 district.n.01
164 alcohol.n.01 sauce.n.01 ferment.v.03
167 metal.n.01 metallic_element.n.01 tool.n.01 coin.n.01 gun.n.01 lock.n.01 weapon.n.01 machine.n.01
167 hardware.n.03
169 gate.n.01
173 precipitation.n.03 storm.n.01 weather.n.01 cloud.n.02
177 leather.n.01 footwear.n.01
181 head.n.01 face.n.01
182 wind.n.01
184 bread.n.01 food.n.01 food.n.02 dish.n.02 meal.n.01
187 horse.n.01 equine.n.01
188 bone.n.01
190 hair.n.01 beard.n.01
194 spirit.n.04 monster.n.01
195 fish.n.01 fish.n.02 cetacean.n.01
196 bird.n.01
198 deer.n.01
199 wheat.n.01 bread.n.01
207 drum.n.01
208 rodent.n.01
211 tooth.n.01
212 dragon.n.01
213 turtle.n.02
"""


def build_kinds(captions: Sequence[str], wordnet: Path = WORDNET, path: Path = KINDS) -> int:
    """Writes the table that `load_kinds` reads, from WordNet's files, and returns its length.

    Args:
        captions: captions of the training split. Of WordNet's 147,000 names only those are kept
            that a person might type (see `load_corpus`), no proper names, and each under the
            meaning that is commonest for it.
        wordnet: folder of WordNet's database files.
        path: the table to write.

    Raises:
        FileNotFoundError: WordNet is not in that folder.
    """
    texts = load_corpus(captions, wordnet).texts
    usual = {*texts["words"], *texts["phrases"]}
    senses = load_senses(wordnet)
    synsets = {synset.key: synset for synset in load_synsets(wordnet)}
    numbers: dict[str, frozenset[int]] = {}  # by the key of a meaning
    for line in _ROOTS.splitlines():
        number, *roots = line.split()
        for root in roots:
            word, part, sense = root.rsplit(".", 2)
            key = senses[word.replace("_", " "), part][int(sense) - 1]
            numbers[key] = numbers.get(key, frozenset()) | {int(number)}
    found: dict[str, frozenset[int]] = {}

    def below(key: str) -> frozenset[int]:
        if key not in found:
            found[key] = numbers.get(key, frozenset())  # for now: it ends a circle
            if key not in numbers:
                found[key] = found[key].union(*map(below, synsets[key].above))
        return found[key]

    def commonest(word: str, part: str) -> str | None:
        """The key of the first meaning of a word, names such as Heron of Alexandria's aside."""
        keys = senses.get((word, part), ())
        return next((key for key in keys if word in synsets[key].words), None)

    lines = []
    for key, synset in synsets.items():
        words = [word for word in synset.words if word in usual and key == commonest(word, key[0])]
        words = [f"to {word}" if key[0] == "v" else word for word in words]
        if words:
            lines += ["\t".join([str(number), *words]) for number in sorted(below(key))]
    path.write_bytes(lzma.compress("".join(line + "\n" for line in lines).encode()))
    return len(lines)
