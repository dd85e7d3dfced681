using System.Globalization;
using Shinano.Control.GuestPackages;

namespace Shinano.Cli.Xm;

/// <summary>Shows the fetching of packages: a moving line for a person, a line per stage for a log.</summary>
internal sealed class PackageDisplay(XmEnvironment environment, CreationProgress line) : IProgress<PackageProgress>
{
    private (string Package, PackageStage Stage) _last;

    public void Report(PackageProgress value)
    {
        string what = value.Stage switch
        {
            PackageStage.Waiting => "waiting for another fetch",
            PackageStage.UpdatingLists => "reading Debian's package lists",
            PackageStage.Resolving => "looking up",
            PackageStage.Downloading => "downloading",
            PackageStage.Extracting => "unpacking",
            _ => "ready",
        };
        if (environment.IsInteractive)
        {
            string percent = value.Percent > 0 ? string.Create(CultureInfo.InvariantCulture, $" {value.Percent:F0} %") : "";
            line.Show($"{value.Package}: {what}{percent}");
        }
        else if (_last != (value.Package, value.Stage))
        {
            environment.Error.WriteLine($"{value.Package}: {what}");
        }

        _last = (value.Package, value.Stage);
    }
}
