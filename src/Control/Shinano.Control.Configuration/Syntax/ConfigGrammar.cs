using System.Globalization;
using System.Text;
using Pidgin;
using static Pidgin.Parser<char>;

namespace Shinano.Control.Configuration.Syntax;

/// <summary>
/// The grammar of xl.cfg(5): assignments of strings, numbers and lists, one per line or separated by ';'. A backslash before the line's end
/// continues it (xm's files were Python), and a list may span lines anyway.
/// </summary>
internal static class ConfigGrammar
{
    /// <summary>Lists inside lists beyond this are malformed; xl.cfg(5) uses two. Bounds the recursion on hostile text.</summary>
    private const int MaximumListDepth = 8;

    private static readonly Parser<char, Unit> Comment = Char('#').Then(Token(c => c != '\n').SkipMany());

    private static readonly Parser<char, Unit> Continuation =
        Try(Char('\\').Then(Char('\r').Optional()).Then(Char('\n'))).IgnoreResult().Labelled("line continuation");

    private static readonly Parser<char, Unit> Blank =
        OneOf(Token(c => c is ' ' or '\t' or '\r' or '\f').IgnoreResult(), Continuation).SkipMany();

    private static readonly Parser<char, Unit> BlankOverLines =
        OneOf(Token(c => c is ' ' or '\t' or '\r' or '\f' or '\n').IgnoreResult(), Continuation, Comment).SkipMany();

    private static readonly Parser<char, Unit> BetweenStatements =
        OneOf(Token(c => c is ' ' or '\t' or '\r' or '\f' or '\n' or ';').IgnoreResult(), Continuation, Comment).SkipMany();

    private static readonly Parser<char, string> Key =
        Token(c => char.IsAsciiLetter(c) || c == '_').Then(
            Token(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-').ManyString(), (first, rest) => first + rest).Labelled("a key");

    private static readonly Parser<char, int> HexDigit = Token(char.IsAsciiHexDigit)
        .Select(c => int.Parse([c], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)).Labelled("a hexadecimal digit");

    private static readonly Parser<char, int> OctalDigit = Token(c => c is >= '0' and <= '7').Select(c => c - '0').Labelled("an octal digit");

    // libxlu_cfg.c: xlu__cfgl_dequote. \x takes two digits, octal three.
    private static readonly Parser<char, char> Escape = Char('\\').Then(OneOf(
        OneOf('\\', '\'', '"'),
        Char('a').ThenReturn('\a'),
        Char('b').ThenReturn('\b'),
        Char('f').ThenReturn('\f'),
        Char('n').ThenReturn('\n'),
        Char('r').ThenReturn('\r'),
        Char('t').ThenReturn('\t'),
        Char('v').ThenReturn('\v'),
        Char('x').Then(Map((high, low) => (char)((high << 4) | low), HexDigit, HexDigit)),
        Map((a, b, c) => (a << 6) | (b << 3) | c, OctalDigit, OctalDigit, OctalDigit)
            .Assert(value => value <= 255, "an octal escape above \\377").Select(value => (char)value)).Labelled("an escape (\\n, \\t, \\\\, \\', \\\", \\xHH, \\OOO, ...)"));

    private static readonly Parser<char, string> Quoted = OneOf(QuotedBy('"'), QuotedBy('\''));

    private static readonly Parser<char, long> Number = Map(
        (sign, digits) => (sign, digits),
        Char('-').Labelled("a number").Optional(),
        Token(char.IsAsciiDigit).Labelled("a number").Then(Token(char.IsAsciiLetterOrDigit).ManyString(), (first, rest) => first + rest))
        .Select(parts => ToNumber(parts.digits, parts.sign.HasValue))
        .Assert(number => number.HasValue, "not a number (decimal, or hexadecimal with 0x) of 64 bits")
        .Select(number => number!.Value);

    private static readonly Parser<char, ConfigValue> Value = ValueAtDepth(MaximumListDepth);

    private static readonly Parser<char, Unit> EndOfStatement = Blank.Then(Comment.Optional())
        .Then(OneOf(Token(c => c is '\n' or ';').IgnoreResult(), End)).Labelled("the end of the line");

    private static readonly Parser<char, ConfigAssignment> Assignment =
        from offset in Parser<char>.CurrentOffset
        from key in Key
        from append in Blank.Then(OneOf(Char('=').ThenReturn(false), Try(String("+=")).ThenReturn(true)).Labelled("'='"))
        from value in Blank.Then(Value)
        from end in EndOfStatement
        select new ConfigAssignment(offset, key, append, value);

    private static readonly Parser<char, IEnumerable<ConfigAssignment>> File =
        BetweenStatements.Then(Assignment.Before(BetweenStatements).Many()).Before(End);

    private static readonly Parser<char, ConfigValue> WholeValue = Blank.Then(Value).Before(Blank).Before(End);

    /// <summary>Parses a whole file. Never throws on content.</summary>
    public static (IReadOnlyList<ConfigAssignment> Assignments, SyntaxFailure? Failure) ParseFile(string text)
    {
        Result<char, IEnumerable<ConfigAssignment>> result = File.Parse(text);
        return result.Success ? ([.. result.Value], null) : ([], Describe(result.Error!, text));
    }

    /// <summary>Parses a value alone, as after '=' on a command line.</summary>
    public static (ConfigValue? Value, SyntaxFailure? Failure) ParseValue(string text)
    {
        Result<char, ConfigValue> result = WholeValue.Parse(text);
        return result.Success ? (result.Value, null) : (null, Describe(result.Error!, text));
    }

    /// <summary>Whether <paramref name="text"/> is a key as the grammar has it.</summary>
    public static bool IsKey(string text) => Key.Before(End).Parse(text).Success;

    private static Parser<char, string> QuotedBy(char quote) =>
        OneOf(Escape, Token(c => c != quote && c != '\\' && c != '\n' && c != '\0')).ManyString()
            .Between(Char(quote).Labelled("a string in quotes"), Char(quote).Labelled($"a closing {quote}"));

    private static Parser<char, ConfigValue> ValueAtDepth(int depth)
    {
        Parser<char, ConfigValue> list = depth == 0
            ? Char('[').Then(Parser<char>.Fail<ConfigValue>("lists are nested too deeply"))
            : ListOf(ValueAtDepth(depth - 1));
        return OneOf(
            list,
            Map((offset, text) => (ConfigValue)new StringValue(offset, text), Parser<char>.CurrentOffset, Quoted),
            Map((offset, number) => (ConfigValue)new NumberValue(offset, number), Parser<char>.CurrentOffset, Number));
    }

    private static Parser<char, ConfigValue> ListOf(Parser<char, ConfigValue> item) =>
        from offset in Parser<char>.CurrentOffset
        from open in Char('[').Labelled("a [list]").Then(BlankOverLines)
        from items in item.Before(BlankOverLines).SeparatedAndOptionallyTerminated(Char(',').Labelled("',' or ']'").Then(BlankOverLines))
        from close in Char(']').Labelled("',' or ']'")
        select (ConfigValue)new ListValue(offset, [.. items]);

    private static long? ToNumber(string digits, bool negative)
    {
        bool hexadecimal = digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool parsed = hexadecimal
            ? ulong.TryParse(digits.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong magnitude)
            : ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out magnitude);
        if (!parsed || magnitude > long.MaxValue)
        {
            return null;
        }

        return negative ? -(long)magnitude : (long)magnitude;
    }

    private static SyntaxFailure Describe(ParseError<char> error, string text)
    {
        int offset = Math.Min(error.ErrorOffset, text.Length);
        StringBuilder message = new("syntax error: ");
        if (error.Message is { } own)
        {
            return new SyntaxFailure(offset, message.Append(own).ToString());
        }

        message.Append(offset >= text.Length ? "unexpected end of the text" : $"unexpected {Show(text[offset])}");
        string[] expected =
        [
            .. error.Expected
                .Select(e => e.Label ?? (e.Tokens.IsDefaultOrEmpty ? "the end" : Show(string.Concat(e.Tokens))))
                .Where(label => label is not ("line continuation" or "'#'" or "'\\'"))
                .Distinct()
                .Order(StringComparer.Ordinal),
        ];
        if (expected.Length > 0)
        {
            message.Append(", expected ").AppendJoin(" or ", expected);
        }

        return new SyntaxFailure(offset, message.ToString());
    }

    private static string Show(char c) => c switch
    {
        '\n' => "end of line",
        '\r' => "carriage return",
        '\t' => "tab",
        < ' ' or '\x7f' => $"control character 0x{(int)c:x2}",
        _ => $"'{c}'",
    };

    private static string Show(string text) => text.Length == 1 ? Show(text[0]) : $"'{text}'";
}
