namespace Shinano.Control.Configuration;

/// <summary>Turns offsets of a text into lines and columns.</summary>
internal sealed class LineMap
{
    private readonly List<int> _starts = [0];

    public LineMap(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\n')
            {
                _starts.Add(i + 1);
            }
        }
    }

    public SourcePosition Locate(int offset)
    {
        int line = LineIndex(offset);
        return new SourcePosition(line + 1, offset - _starts[line] + 1);
    }

    /// <summary>The line that holds <paramref name="offset"/>, without its end.</summary>
    public string LineAt(string text, int offset)
    {
        int line = LineIndex(offset);
        int end = line + 1 < _starts.Count ? _starts[line + 1] - 1 : text.Length;
        return text[_starts[line]..end];
    }

    private int LineIndex(int offset)
    {
        int found = _starts.BinarySearch(offset);
        return found >= 0 ? found : ~found - 1;
    }
}
