using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xentop;

/// <summary>The part of the screen below the head.</summary>
internal sealed record TopView(bool FullNames, bool ShowVcpus)
{
    public IEnumerable<string> Body(TopSample sample, TopSample? before)
    {
        yield return TopText.Columns;
        foreach ((string row, DomainSummary domain) in TopText.Rows(sample, before, FullNames).Zip(sample.Domains))
        {
            yield return row;
            if (ShowVcpus)
            {
                yield return TopText.Vcpus(domain);
            }
        }
    }
}
