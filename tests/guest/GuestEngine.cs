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
    public static IReadOnlyList<string> All => Wished ?? Known;

    /// <summary>For tests whose matter is not the engine: the usual one, unless SHINANO_GUEST_ENGINES names others.</summary>
    /// <exception cref="InvalidOperationException">It names one that does not exist.</exception>
    public static TheoryData<string> Usual => [.. UsualNames];

    /// <summary>As <see cref="Usual"/>, with the last of some numbers of vCPUs; SHINANO_BOOT_MATRIX=all has every number on every engine.</summary>
    public static TheoryData<string, int> UsualWith(params int[] vcpus) => IsWhole ? With(vcpus) : [.. UsualNames.Select(engine => (engine, vcpus[^1]))];

    private static string[] UsualNames => Wished ?? [Known[^1]];

    private static bool IsWhole => Environment.GetEnvironmentVariable("SHINANO_BOOT_MATRIX") == "all";

    private static string[]? Wished
    {
        get
        {
            if (Environment.GetEnvironmentVariable("SHINANO_GUEST_ENGINES") is not { Length: > 0 } wish)
            {
                return null;
            }

            string[] names = wish.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            return names.FirstOrDefault(name => !Known.Contains(name)) is { } unknown
                ? throw new InvalidOperationException($"SHINANO_GUEST_ENGINES names \"{unknown}\"; there are: {string.Join(", ", Known)}")
                : names;
        }
    }

    /// <summary>
    /// The engines with numbers of vCPUs, which are dealt out among the engines from the last of both; SHINANO_BOOT_MATRIX=all has every number on every engine.
    /// </summary>
    public static TheoryData<string, int> With(params int[] vcpus)
    {
        IReadOnlyList<string> engines = All;
        TheoryData<string, int> data = [];
        for (int engine = 0; engine < engines.Count; engine++)
        {
            for (int number = 0; number < vcpus.Length; number++)
            {
                if (IsWhole || (vcpus.Length - 1 - number) % engines.Count == engines.Count - 1 - engine)
                {
                    data.Add(engines[engine], vcpus[number]);
                }
            }
        }

        return data;
    }

    /// <summary>What tells the machine to use an engine.</summary>
    public static string[] Arguments(string? engine) => engine is null ? [] : ["--engine", engine];
}
