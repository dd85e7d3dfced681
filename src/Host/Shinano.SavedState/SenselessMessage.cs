using System.Globalization;
using System.Runtime.CompilerServices;

namespace Shinano.SavedState;

/// <summary>The text of <see cref="StateReader.Demand(bool, ref SenselessMessage)"/>: nothing is formatted while what is demanded holds, which it does millions of times.</summary>
[InterpolatedStringHandler]
public ref struct SenselessMessage
{
    private DefaultInterpolatedStringHandler _text;

    /// <summary>Called by the compiler.</summary>
    public SenselessMessage(int literalLength, int formattedCount, bool condition, out bool isNeeded)
    {
        isNeeded = !condition;
        _text = isNeeded ? new DefaultInterpolatedStringHandler(literalLength, formattedCount, CultureInfo.InvariantCulture) : default;
    }

    /// <summary>Called by the compiler.</summary>
    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    /// <summary>Called by the compiler.</summary>
    public void AppendFormatted<T>(T value, string? format = null) => _text.AppendFormatted(value, format);

    /// <summary>The text.</summary>
    internal string ToStringAndClear() => _text.ToStringAndClear();
}
