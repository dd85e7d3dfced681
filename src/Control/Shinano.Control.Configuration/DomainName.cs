namespace Shinano.Control.Configuration;

/// <summary>The rule for domain names, kept in one place: they become file names and xenstore values.</summary>
public static class DomainName
{
    public const int MaximumLength = 80;

    public const string DomainZero = "Domain-0";

    /// <summary>Null when <paramref name="name"/> may be used, else what is wrong with it.</summary>
    public static string? Check(string name)
    {
        if (name.Length == 0)
        {
            return "a domain's name must not be empty";
        }

        if (name.Length > MaximumLength)
        {
            return $"a domain's name has at most {MaximumLength} characters, this one has {name.Length}";
        }

        if (name == DomainZero)
        {
            return $"'{DomainZero}' is the host itself";
        }

        if (name[0] is '.' or '-')
        {
            return $"a domain's name must not begin with '{name[0]}'";
        }

        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('_' or '-' or '.' or ':' or '+' or '@'))
            {
                return "a domain's name is made of letters, digits and _ - . : + @";
            }
        }

        return name.All(char.IsAsciiDigit) ? "a domain's name must not be a number: it could not be told from a domain id" : null;
    }
}
