"""Names for the demo district: made-up people of the kinds who live in a mid-size US district.

Only lists and shares; which person gets which name is decided in `demo_district`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heritage:
    """Names that go together, the home language they suggest and their share of the families."""

    share: int  # per mille
    language: str
    given: tuple[str, ...]
    family: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


HERITAGES = (
    Heritage(
        480,
        "en",
        _words(
            "Olivia Liam Emma Noah Charlotte Owen Amelia Henry Evelyn Jack Nora Theodore Hazel "
            "Oliver Violet James Clara Wyatt Ruby Levi Alice Mason Grace Caleb Stella Isaac Molly "
            "Samuel Paige Ethan Brooke Dylan Jenna Tyler Megan Kyle Rachel Aaron Tara Scott Erin "
            "Derek Holly Brian Kelsey Mark Denise Marcus Imani Jamal Aaliyah Darius Keisha Tyrone "
            "Monique Andre Sydney Trevor Leah Connor"
        ),
        _words(
            "Anders Baker Carlson Dawson Ellis Fletcher Graham Hughes Irwin Jensen Keller Lawson "
            "Miller Norris Owens Porter Quinn Reed Sawyer Thorne Underwood Vance Walsh Yates "
            "Abbott Benton Calloway Drake Easton Fowler Gibbs Harmon Ingram Jarvis Kirby Lowell "
            "Mercer Nolan Ogden Prescott Ramsey Sutton Tate Upton Vaughn Whitaker O'Neill D'Amico "
            "Washington Booker Freeman Gaines Banks Coleman Dixon Hayes Jefferson Mosley"
        ),
    ),
    Heritage(
        170,
        "es",
        _words(
            "Sofía Mateo Valentina Diego Lucía Andrés Camila Sebastián Ximena Joaquín Renata "
            "Emilio Daniela Rodrigo Mariana Adrián Paola Iván Verónica Raúl Inés Tomás "
            "Rocío Óscar Belén Héctor Lourdes Ramón Pilar Ángel"
        ),
        _words(
            "García Hernández López Martínez Rodríguez Pérez Sánchez Ramírez Muñoz Núñez Ibáñez "
            "Gutiérrez Domínguez Vázquez Jiménez Peña Ríos Castañeda Quiñones Zúñiga Ávila Ordóñez "
            "Beltrán Cortés Espinoza Fuentes"
        ),
    ),
    Heritage(
        90,
        "en",
        _words(
            "Astrid Søren Ingrid Björn Linnéa Håkon Freya Åsa Jürgen Käthe Günther Anneliese Elif "
            "Łukasz Zofia Jiří Dvora Renée Françoise Noël Siobhán Seán"
        ),
        _words(
            "Lindström Sjöberg Ødegård Bjørnsen Grünwald Müller Köhler Schäfer Wójcik Łapiński "
            "Novák Dvořák Lefèvre Françon Ó'Briain Nystrøm Åkesson Hämäläinen"
        ),
    ),
    Heritage(
        80,
        "so",
        _words(
            "Abdi Fadumo Mohamed Hodan Yusuf Ifrah Ahmed Sahra Hassan Ayaan Mahad Nasteho Liban "
            "Khadra Warsame Hibo Guled Ubah Bile Deqa"
        ),
        _words(
            "Warsame Farah Abdullahi Hussein Jama Nur Omar Dirie Gedi Hersi Isse Samatar Elmi "
            "Mohamud Yusuf Abdi"
        ),
    ),
    Heritage(
        70,
        "hmn",
        _words(
            "Tou Mai Pao Yer Kong Bao Xeng Nou Chue Pa Cheng Kaying Fue Gaoly Vang Mee Toua Nkauj "
            "Blong Paj"
        ),
        _words("Vang Xiong Yang Thao Lor Moua Her Lee Vue Kue Cha Khang Hang Chang Xyooj Yaj"),
    ),
    Heritage(
        40,
        "vi",
        _words("Minh Linh Tuấn Hương Đức Thảo Quân Ngọc Dũng Phượng Khánh Trang Huy Vân Bảo Yến"),
        _words("Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Đặng Bùi Đỗ Hồ Ngô Dương Lý"),
    ),
    Heritage(
        25,
        "zh",
        _words("Wei Jing Hao Mei Jun Xin Lei Yan Tao Fang 伟 静 浩然 美玲 子轩 欣怡 建国 雨桐"),
        _words("Chen Zhang Liu Huang Zhao Wu Zhou Xu 王 李 陈 张 刘 黄 林 欧阳"),
    ),
    Heritage(
        25,
        "ar",
        _words("Layla Omar Rania Khalid Salma Tariq Dalia Yasin محمد فاطمة أحمد مريم يوسف زينب"),
        _words("Haddad Mansour Khoury Najjar Saleh Aziz الخطيب حداد منصور العلي نجار صالح"),
    ),
    Heritage(
        20,
        "en",
        _words("Priya Arjun Ananya Rohan Divya Kiran Meera Vikram Asha Sanjay"),
        _words("Sharma Patel Iyer Reddy Chatterjee Nair Menon Kapoor Desai Bhatt"),
    ),
)

SCHOOL_NAMES = _words(
    "Cedar Willow Prairie Oakridge Lakeview Birchwood Heron Meadow Riverbend Stonefield Maple "
    "Aspen Juniper Larkspur Falcon Northgate Sunfish Tamarack Wildflower Bluestem Cottonwood "
    "Harvest Kingfisher Loon Millstone Pinecrest Redwing Sagebrush Thistle Walnut"
)
