namespace Shinano.Guests;

/// <summary>
/// The CPU engines that guest tests run on: every test that takes an engine runs once for each of <see cref="All"/>. SHINANO_GUEST_ENGINES
/// names some of them, separated by commas.
/// </summary>
internal static class GuestEngine
{
    /// <summary>Every engine that runs PV guests, as <c>cpu_engine</c> in a configuration names it. A new engine is a name more.</summary>
    private static readonly string[] Known = ["interpreter", "translator"];

    /// <summary>Those to run on now.</summary>
    /// <exception cref="InvalidOperationException">SHINANO_GUEST_ENGINES names one that does not exist.</exception>
    public static IReadOnlyList<string> All
    {
        get
        {
            if (Environment.GetEnvironmentVariable("SHINANO_GUEST_ENGINES") is not { Length: > 0 } wish)
            {
                return Known;
            }

            string[] names = wish.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            return names.FirstOrDefault(name => !Known.Contains(name)) is { } unknown
                ? throw new InvalidOperationException($"SHINANO_GUEST_ENGINES names \"{unknown}\"; there are: {string.Join(", ", Known)}")
                : names;
        }
    }

    /// <summary>What tells the machine to use an engine.</summary>
    public static string[] Arguments(string? engine) => engine is null ? [] : ["--engine", engine];
}
