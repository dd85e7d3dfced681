using System.Globalization;

namespace Shinano.Cli.XenStore;

/// <summary>
/// Options and operands as getopt_long(3) reads them for Xen's tools: options may follow operands, short ones may be joined, "--" ends
/// them.
/// </summary>
internal sealed class ToolArguments
{
    private static readonly Dictionary<string, char> LongNames = new(StringComparer.Ordinal)
    {
        ["help"] = 'h',
        ["flat"] = 'f',
        ["prefix"] = 'p',
        ["tidy"] = 't',
        ["upto"] = 'u',
        ["recurse"] = 'r',
        ["number"] = 'n',
        ["raw"] = 'R',
    };

    private readonly HashSet<char> flags = [];

    /// <param name="allowed">The options the tool knows; h is always known, and s does nothing (it once chose the socket).</param>
    /// <exception cref="ToolUsageException">An unknown option, a missing number, or -h.</exception>
    internal ToolArguments(IEnumerable<string> arguments, string allowed)
    {
        var operands = new List<string>();
        bool onlyOperands = false;
        bool numberFollows = false;
        foreach (string argument in arguments)
        {
            if (numberFollows)
            {
                SetNumber(argument);
                numberFollows = false;
            }
            else if (onlyOperands || argument.Length < 2 || argument[0] != '-')
            {
                operands.Add(argument);
            }
            else if (argument == "--")
            {
                onlyOperands = true;
            }
            else
            {
                numberFollows = argument.StartsWith("--", StringComparison.Ordinal)
                    ? ReadLong(argument[2..], allowed)
                    : ReadShort(argument[1..], allowed);
            }
        }

        if (numberFollows)
        {
            throw new ToolUsageException("option requires an argument -- 'n'");
        }

        Operands = operands;
    }

    internal IReadOnlyList<string> Operands { get; }

    /// <summary>The value of -n, or null without it.</summary>
    internal int? Number { get; private set; }

    internal bool Has(char flag) => flags.Contains(flag);

    // True when the number is the next argument.
    private bool ReadLong(string text, string allowed)
    {
        int equals = text.IndexOf('=');
        string name = equals < 0 ? text : text[..equals];
        if (!LongNames.TryGetValue(name, out char flag))
        {
            throw new ToolUsageException($"unrecognized option '--{name}'");
        }

        Set(flag, allowed);
        if (flag != 'n')
        {
            return false;
        }

        if (equals < 0)
        {
            return true;
        }

        SetNumber(text[(equals + 1)..]);
        return false;
    }

    private bool ReadShort(string text, string allowed)
    {
        for (int i = 0; i < text.Length; i++)
        {
            Set(text[i], allowed);
            if (text[i] != 'n')
            {
                continue;
            }

            if (i == text.Length - 1)
            {
                return true;
            }

            SetNumber(text[(i + 1)..]);
            return false;
        }

        return false;
    }

    private void Set(char flag, string allowed)
    {
        if (flag == 'h')
        {
            throw new ToolUsageException();
        }

        if (flag != 's' && !allowed.Contains(flag, StringComparison.Ordinal))
        {
            throw new ToolUsageException($"invalid option -- '{flag}'");
        }

        flags.Add(flag);
    }

    private void SetNumber(string text) =>
        Number = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new ToolUsageException($"'{text}' is not a number");
}
