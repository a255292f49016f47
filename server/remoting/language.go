package remoting

// Language codes, as in RocketMQ's LanguageCode.
const (
	LanguageJava   uint8 = 0
	LanguageCPP    uint8 = 1
	LanguageDotnet uint8 = 2
	LanguagePython uint8 = 3
	LanguageDelphi uint8 = 4
	LanguageErlang uint8 = 5
	LanguageRuby   uint8 = 6
	LanguageOther  uint8 = 7
	LanguageHTTP   uint8 = 8
	LanguageGo     uint8 = 9
	LanguagePHP    uint8 = 10
	LanguageOMS    uint8 = 11
	LanguageRust   uint8 = 12
	LanguageNodeJS uint8 = 13
)

var languageNames = [...]string{
	"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
	"OTHER", "HTTP", "GO", "PHP", "OMS", "RUST", "NODE_JS",
}

// LanguageName is the name of a language code as it stands in JSON, "OTHER"
// for codes that RocketMQ does not know.
func LanguageName(code uint8) string {
	if int(code) < len(languageNames) {
		return languageNames[code]
	}
	return languageNames[LanguageOther]
}

func languageOf(name []byte) uint8 {
	for code, n := range languageNames {
		if string(name) == n {
			return uint8(code)
		}
	}
	return LanguageOther
}
