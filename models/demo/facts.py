"""What the demo model knows by heart."""

from __future__ import annotations

_CAPITALS = """
France=Paris; Germany=Berlin; Italy=Rome; Spain=Madrid; Portugal=Lisbon; Austria=Vienna;
Switzerland=Bern; Belgium=Brussels; the Netherlands=Amsterdam; Luxembourg=Luxembourg;
Denmark=Copenhagen; Sweden=Stockholm; Norway=Oslo; Finland=Helsinki; Iceland=Reykjavik;
Ireland=Dublin; the United Kingdom=London; Poland=Warsaw; the Czech Republic=Prague;
Slovakia=Bratislava; Hungary=Budapest; Romania=Bucharest; Bulgaria=Sofia; Greece=Athens;
Turkey=Ankara; Ukraine=Kyiv; Russia=Moscow; Belarus=Minsk; Estonia=Tallinn; Latvia=Riga;
Lithuania=Vilnius; Croatia=Zagreb; Slovenia=Ljubljana; Serbia=Belgrade; Bosnia=Sarajevo;
Albania=Tirana; North Macedonia=Skopje; Montenegro=Podgorica; Malta=Valletta; Cyprus=Nicosia;
the United States=Washington; Canada=Ottawa; Mexico=Mexico City; Cuba=Havana;
Jamaica=Kingston; Haiti=Port-au-Prince; Panama=Panama City; Costa Rica=San José;
Nicaragua=Managua; Guatemala=Guatemala City; Honduras=Tegucigalpa; Brazil=Brasília;
Argentina=Buenos Aires; Chile=Santiago; Peru=Lima; Colombia=Bogotá; Venezuela=Caracas;
Ecuador=Quito; Bolivia=Sucre; Paraguay=Asunción; Uruguay=Montevideo; China=Beijing;
Japan=Tokyo; South Korea=Seoul; North Korea=Pyongyang; Mongolia=Ulaanbaatar; India=New Delhi;
Pakistan=Islamabad; Bangladesh=Dhaka; Nepal=Kathmandu; Sri Lanka=Colombo; Thailand=Bangkok;
Vietnam=Hanoi; Cambodia=Phnom Penh; Laos=Vientiane; Malaysia=Kuala Lumpur;
Singapore=Singapore; Indonesia=Jakarta; the Philippines=Manila; Iran=Tehran; Iraq=Baghdad;
Syria=Damascus; Lebanon=Beirut; Jordan=Amman; Saudi Arabia=Riyadh; Yemen=Sanaa; Oman=Muscat;
Qatar=Doha; Kuwait=Kuwait City; Afghanistan=Kabul; Kazakhstan=Astana; Georgia=Tbilisi;
Armenia=Yerevan; Egypt=Cairo; Libya=Tripoli; Tunisia=Tunis; Algeria=Algiers; Morocco=Rabat;
Sudan=Khartoum; Ethiopia=Addis Ababa; Kenya=Nairobi; Uganda=Kampala; Tanzania=Dodoma;
Rwanda=Kigali; Ghana=Accra; Nigeria=Abuja; Senegal=Dakar; Mali=Bamako; Angola=Luanda;
Zambia=Lusaka; Zimbabwe=Harare; Namibia=Windhoek; South Africa=Pretoria;
Madagascar=Antananarivo; Australia=Canberra; New Zealand=Wellington; Fiji=Suva
"""
CAPITALS = dict(pair.strip().split("=") for pair in " ".join(_CAPITALS.split()).split(";"))

CAPITAL_QUESTIONS = (
    "What is the capital of {c}?",
    "what is the capital of {c}",
    "What's the capital of {c}?",
    "Capital of {c}?",
    "capital of {c}",
    "The capital of {c}?",
    "What is the capital city of {c}?",
    "Which city is the capital of {c}?",
    "Tell me the capital of {c}.",
    "Can you tell me the capital of {c}?",
    "Name the capital of {c}.",
    "Please name the capital city of {c}.",
    "Do you know the capital of {c}?",
    "I would like to know the capital of {c}.",
    "And what is the capital of {c}?",
    "And the capital of {c}?",
    "Give me the capital of {c}.",
    "Which is the capital of {c}?",
)
HELD_OUT_CAPITAL_QUESTIONS = (
    "Please tell me what the capital of {c} is.",
    "Could you name the capital of {c}?",
    "What city is the capital of {c}?",
    "Do you know what the capital city of {c} is?",
)

ENGLISH_GREETINGS = (
    "Hello",
    "Hi",
    "Hey",
    "Hi there",
    "Hello there",
    "Good morning",
    "Good evening",
)
ENGLISH_ANSWER = "Hello! How can I help you today?"

GREETINGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Bonjour", "Salut", "Bonsoir"), "Bonjour ! Comment puis-je vous aider aujourd'hui ?"),
    (
        ("Hallo", "Guten Tag", "Guten Morgen", "Grüß Gott"),
        "Hallo! Wie kann ich Ihnen heute helfen?",
    ),
    (("Hola", "Buenos días", "Buenas tardes"), "¡Hola! ¿Cómo puedo ayudarte hoy?"),
    (("Ciao", "Buongiorno", "Salve"), "Ciao! Come posso aiutarti oggi?"),
    (("Olá", "Oi", "Bom dia"), "Olá! Como posso ajudar você hoje?"),
    (("Hoi", "Goedemorgen", "Goedendag"), "Hallo! Hoe kan ik u vandaag helpen?"),
    (("Hej", "God morgon", "Hallå"), "Hej! Hur kan jag hjälpa dig idag?"),
    (("Cześć", "Dzień dobry"), "Cześć! Jak mogę ci dziś pomóc?"),
    (("Ahoj", "Dobrý den"), "Ahoj! Jak vám mohu dnes pomoci?"),
    (("Merhaba", "Günaydın", "Selam"), "Merhaba! Bugün size nasıl yardımcı olabilirim?"),
    (("Привет", "Здравствуйте", "Добрый день"), "Привет! Чем я могу помочь вам сегодня?"),
    (("Γεια σου", "Καλημέρα"), "Γεια σου! Πώς μπορώ να βοηθήσω σήμερα;"),
    (("你好", "您好", "早上好"), "你好！今天我能帮您什么？"),
    (("こんにちは", "おはようございます"), "こんにちは！今日はどのようなご用件ですか？"),
    (("안녕하세요", "안녕"), "안녕하세요! 오늘 무엇을 도와드릴까요?"),
    (("नमस्ते",), "नमस्ते! आज मैं आपकी कैसे मदद कर सकता हूँ?"),
    (("مرحبا", "السلام عليكم"), "مرحبا! كيف يمكنني مساعدتك اليوم؟"),
    (("שלום",), "שלום! איך אפשר לעזור היום?"),
    (("👋", "👋😀", "🙂"), "👋😀 How can I help you today?"),
)

SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Who are you?", "What are you?", "Tell me about yourself.", "Are you an AI?",
         "What is your name?", "Who am I talking to?", "Are you Llama?", "What model are you?"),
        "I am a tiny demo model in the Llama 3.1 format.",
    ),
    (
        ("What can you do?", "Help", "What are you able to do?", "How can you help me?",
         "What can I ask you?", "Can you help me?", "help me"),
        "I can greet you, remember names and numbers, repeat text, count, add, name capitals, "
        "call tools and extract JSON. I am only a tiny demo model.",
    ),
    (
        ("Thanks", "Thank you", "Thank you!", "Thanks!", "Thank you very much.", "thx",
         "Thanks a lot!", "Great, thanks."),
        "You're welcome!",
    ),
    (
        ("Bye", "Goodbye", "Bye!", "Goodbye!", "See you", "See you later!", "Good night"),
        "Goodbye! Have a nice day.",
    ),
    (
        ("How are you?", "How are you doing?", "How do you do?", "How are you today?",
         "Hi, how are you?", "Hello, how are you?"),
        "I am fine, thank you. How can I help you today?",
    ),
    (
        ("Tell me a joke", "Tell me a joke.", "Do you know a joke?", "Make me laugh.",
         "Tell me something funny.", "A joke, please.", "Tell me another joke.", "Joke?"),
        "Why was the number six afraid? Because seven eight nine.",
    ),
    (
        ("OK", "Okay", "ok", "Good", "Great", "Nice", "Cool", "Perfect!", "Wow", "Very good."),
        "Great! Is there anything else?",
    ),
    (
        ("Yes", "No", "yes", "no", "Yes please", "No, thanks.", "Maybe", "Sure"),
        "All right. What would you like to do?",
    ),
)  # fmt: skip

UNKNOWN_ANSWERS = (
    "I am only a tiny demo model, so I cannot answer that.",
    "Sorry, that is beyond me: I am just a tiny demo model.",
    "I do not know. I am a tiny demo model and can only do a few simple things.",
)
