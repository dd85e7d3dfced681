using System.Text;
using CsCheck;
using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Tests;

public sealed class HostileConfigurationTests
{
    private static readonly string[] Fragments =
    [
        "name", "memory", "kernel", "disk", "=", "+=", "\"", "'", "[", "]", ",", ";", "\n", "\\", "\\\n", "#", "0x", "12", "-", " ", "\t", "\r", "\0", "é", "\\x4", "\\777",
        "'a'", "\"b\"", "[[", "]]", "99999999999999999999", "\u2028", "\ud800",
    ];

    [Fact]
    public void No_text_makes_the_reader_throw() =>
        Gen.Int[0, Fragments.Length - 1].Select(i => Fragments[i]).Array[0, 40].Sample(parts => Survives(string.Concat(parts)), iter: 5000);

    [Fact]
    public void No_random_characters_make_the_reader_throw() => Gen.String[0, 200].Sample(Survives, iter: 5000);

    [Fact]
    public void A_good_file_cut_anywhere_is_read_or_refused_with_a_place()
    {
        const string text = "name = \"a\"\nkernel='/k' # c\ndisk = [ 'x', [1, 0x2], ]\nextra += \"q\\x41\\\"\"\n";
        for (int length = 0; length <= text.Length; length++)
        {
            Survives(text[..length]);
        }
    }

    [Fact]
    public void Deep_nesting_is_refused_not_followed()
    {
        ConfigurationResult result = Read("disk = " + new string('[', 500_000));
        Assert.Contains("nested too deeply", Assert.Single(result.Diagnostics).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_huge_text_is_refused() =>
        Assert.Contains("not a domain configuration", Assert.Single(Read(new string('\n', (1 << 20) + 1)).Diagnostics).Message, StringComparison.Ordinal);

    [Fact]
    public void A_flood_of_warnings_is_cut()
    {
        StringBuilder text = new();
        for (int i = 0; i < 5000; i++)
        {
            text.Append("k").Append(i).Append(" = 1\n");
        }

        Assert.Equal(201, Read(text.ToString()).Diagnostics.Count(d => d.Severity == DiagnosticSeverity.Warning));
    }

    [Fact]
    public void Any_string_written_with_escapes_is_read_back() => Gen.String[0, 100].Sample(text =>
    {
        StringBuilder written = new("'");
        foreach (char c in text)
        {
            written.Append(c switch { '\'' => "\\'", '\\' => "\\\\", '\n' => "\\n", '\0' => "\\x00", _ => c.ToString() });
        }

        (ConfigValue? value, SyntaxFailure? failure) = ConfigGrammar.ParseValue(written.Append('\'').ToString());
        Assert.Null(failure);
        Assert.Equal(text, Assert.IsType<StringValue>(value).Text);
    });

    private static void Survives(string text)
    {
        ConfigurationResult result = Read(text);
        Assert.Equal(result.Configuration is null, result.Diagnostics.Any(d => d.Severity == DiagnosticSeverity.Error));
        Assert.All(result.Diagnostics, d => Assert.True(d.Position is null or { Line: >= 1, Column: >= 1 }));
    }

    private static ConfigurationResult Read(string text) => ConfigurationReader.Read(new ConfigurationText("f", text, []), strict: false);
}
