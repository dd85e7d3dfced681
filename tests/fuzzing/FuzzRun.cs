using System.Diagnostics;
using System.Globalization;

namespace Shinano.Fuzzing;

/// <summary>
/// The rounds of a test with random input: as many as a short run takes, or all that fit into SHINANO_FUZZ_SECONDS. Each round has a seed of its own, the last one's plus
/// one; SHINANO_FUZZ_SEED is that of the first round, so that a failing round is repeated alone with the seed that its message names.
/// </summary>
internal sealed class FuzzRun
{
    private readonly int _firstSeed = Number("SHINANO_FUZZ_SEED") ?? System.Random.Shared.Next();
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly int _least;
    private readonly int _seconds;

    private FuzzRun(int least, int seconds) => (_least, _seconds) = (least, seconds);

    /// <summary>Rounds that have begun.</summary>
    public int Rounds { get; private set; }

    /// <summary>The present round's.</summary>
    public Random Random { get; private set; } = new(0);

    /// <summary>For messages: how to repeat the present round.</summary>
    public string Where => string.Create(CultureInfo.InvariantCulture, $"round {Rounds}, SHINANO_FUZZ_SEED={Seed}");

    private int Seed => unchecked(_firstSeed + Rounds - 1) & int.MaxValue;

    /// <param name="least">Rounds of a short run.</param>
    public static FuzzRun Begin(int least) => new(least, Number("SHINANO_FUZZ_SECONDS") ?? 0);

    /// <summary>Begins a round; false when there have been enough.</summary>
    public bool Next()
    {
        if (Rounds >= _least && Stopwatch.GetElapsedTime(_start) >= TimeSpan.FromSeconds(_seconds))
        {
            string result = string.Create(
                CultureInfo.InvariantCulture, $"{Rounds} rounds in {Stopwatch.GetElapsedTime(_start).TotalSeconds:F0} s, SHINANO_FUZZ_SEED={_firstSeed}");
            TestContext.Current.TestOutputHelper?.WriteLine(result);
            return false;
        }

        Rounds++;
        Random = new Random(Seed);
        return true;
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
